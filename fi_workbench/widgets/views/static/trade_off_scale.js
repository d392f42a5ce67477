import { ticks } from "./format.js";

// Where the marks of a trade-off stand: an axis of epsilon (logarithmic), then one slot for each mechanism without one.

const SLOT = [28, 84]; // px: no narrower, no wider
const GAP = 20; // px before each group of slots
const DODGE = 5; // px between rules that have the same epsilon

export const TRADE_HEAD = 24;
export const TRADE_FOOT = 54;

// Round numbers along a logarithmic axis: 1, 10, 100 or, where there are few of these, 1, 2, 5, 10.
function logTicks(low, high, room) {
  const marks = (factors) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      found.push(...factors.map((factor) => factor * 10 ** power).filter((value) => value >= low * 0.999 && value <= high * 1.001));
    }
    return found;
  };
  const [dense, sparse] = [marks([1, 2, 5]), marks([1])];
  return dense.length * 36 <= room || sparse.length < 2 ? dense : sparse;
}

function slotsOf(marks, place) {
  return [...new Set(marks.filter((one) => one.place === place).map((one) => one.mechanism))].map((mechanism) => ({ mechanism, place }));
}

export function layOutTrade(marks, nRules, width, left) {
  const drawn = marks.filter((one) => one.accuracy !== null);
  const groups = [["hidden", "hidden, no noise"], ["none", "no guarantee"]].map(([place, text]) => ({ text, slots: slotsOf(drawn, place) }))
    .filter(({ slots }) => slots.length);
  const nSlots = groups.reduce((n, { slots }) => n + slots.length, 0);
  const free = width - left - 8;
  const noised = drawn.filter((one) => one.place === "epsilon");
  const share = noised.length ? Math.min(nSlots / (nSlots + 5), 0.6) : 1;
  const slot = nSlots ? Math.min(Math.max((free * share - GAP * groups.length) / nSlots, SLOT[0]), noised.length ? SLOT[1] : 2 * SLOT[1]) : 0;
  const taken = groups.reduce((sum, { slots }) => sum + GAP + slots.length * slot, 0);
  const room = noised.length ? free - taken : 0;
  let at = left + room;
  for (const group of groups) {
    at += noised.length || group !== groups[0] ? GAP : 0;
    group.from = at;
    group.slots.forEach((one) => { one.from = at; at += slot; });
    group.to = at;
  }
  const known = noised.map((one) => one.epsilon);
  const [low, high] = known.length ? [Math.min(...known) / 1.5, Math.max(...known) * 1.5] : [1, 10];
  const scale = (value) => left + (Math.log(value / low) / Math.log(high / low)) * room;
  const every = groups.flatMap(({ slots }) => slots);
  const dodge = (rule, wide) => (rule - (nRules - 1) / 2) * Math.min(wide / Math.max(nRules, 1), wide);
  const x = (one) => (one.place === "epsilon" ? scale(one.epsilon) + dodge(one.rule, DODGE * 0.8 * nRules)
    : every.find(({ mechanism, place }) => mechanism === one.mechanism && place === one.place).from + slot / 2 + dodge(one.rule, slot * 0.7));
  return { drawn, groups, slot, room, x, marksX: known.length ? logTicks(low, high, room).map((value) => [value, scale(value)]) : [] };
}

// The axis of accuracy, from the lowest end of an interval to the highest.
export function accuracyScale(drawn, top, floor) {
  const ends = drawn.flatMap(({ accuracy, low, high }) => [low ?? accuracy, high ?? accuracy]);
  const spread = Math.max(...ends) - Math.min(...ends);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((one) => spread / one <= 6) ?? 0.2;
  const from = Math.max(Math.floor(Math.min(...ends) / step + 1e-9) * step, 0);
  const to = Math.max(Math.min(Math.ceil(Math.max(...ends) / step - 1e-9) * step, 1), from + step);
  return { y: (value) => floor - ((value - from) / (to - from)) * (floor - top), marks: ticks(from, to, 6) };
}

// From a cost to a radius: the area grows with it.
export function radiusOf(sizes) {
  const most = Math.max(...sizes.filter((value) => value !== null), 0);
  return (value) => (value === null || !(most > 0) ? 5 : 3.5 + 6.5 * Math.sqrt(value / most));
}
