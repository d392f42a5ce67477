import { attributes, html, keep, svg, words } from "./dom.js";
import { mark, number, ticks } from "./format.js";
import { mountView } from "./frame.js";

const ROW = 30;
const HEAD = 22;
const FOOT = 44;
const BESIDE = 5; // px between the two dots of a row, upwards and downwards
const SIDES = ["before", "now"];

function makeRow() {
  const side = (name) => ({ whisker: svg("line", { class: "fi-leak-whisker", "data-side": name }), dot: svg("circle", { class: "fi-leak-dot", "data-side": name, r: 4.5 }) });
  const parts = { ground: svg("rect", { class: "fi-row-ground", height: ROW }), name: svg("text"), chance: svg("line", { class: "fi-leak-chance" }),
    before: side("before"), now: side("now"), value: svg("text", { class: "fi-number" }) };
  const group = svg("g", { "data-testid": "fi-row" }, parts.ground, parts.name, parts.chance, parts.before.whisker, parts.now.whisker, parts.before.dot, parts.now.dot, parts.value);
  group.parts = parts;
  return group;
}

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });
    const at = (name, k) => model.get(name)[k] ?? null;
    const all = () => model.get("names").map((name, k) => ({ name, index: k, chance: at("chances", k), said: model.get("sentences")[k] ?? "",
      now: { value: at("values", k), low: at("lows", k), high: at("highs", k) },
      before: { value: at("before_values", k), low: at("before_lows", k), high: at("before_highs", k) } }));
    const compared = () => model.get("before_values").some((value) => value !== null);

    function build(holder, { ruler, signal, schedule }) {
      const [axis, rows, legend] = [svg("g"), svg("g"), svg("g")];
      picture.append(axis, rows, legend);
      holder.append(picture);
      const readout = html("div", { class: "fi-leak-readout", "aria-live": "polite", "data-testid": "fi-readout" });
      holder.after(readout);
      holder.tabIndex = 0;
      let shownRow = null;
      const point = (row) => { if (row !== shownRow) { shownRow = row; schedule(); } };
      picture.addEventListener("pointermove", (event) => {
        const row = Math.floor((event.clientY - picture.getBoundingClientRect().top - HEAD) / ROW);
        point(row >= 0 && row < model.get("names").length ? row : null);
      }, { signal });
      picture.addEventListener("pointerleave", () => point(null), { signal });
      holder.addEventListener("blur", () => point(null), { signal });
      holder.addEventListener("keydown", (event) => {
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
        point(shownRow === null ? 0 : Math.min(Math.max(shownRow + step, 0), model.get("names").length - 1));
        event.preventDefault();
        event.stopPropagation();
      }, { signal });

      return (width) => {
        const everything = all();
        const both = compared();
        const left = Math.min(Math.ceil(ruler.widest(everything.map(({ name }) => name), 13)), Math.floor(width * 0.46)) + 20;
        const right = width - (both ? 118 : 64);
        const known = everything.flatMap(({ now, before, chance }) => [now.low, now.high, now.value, before.low, before.high, before.value, chance]).filter((value) => value !== null);
        const [low, high] = [Math.min(0, ...known), Math.max(1, ...known)];
        const x = (value) => left + ((value - low) / (high - low)) * (right - left);
        const bottom = HEAD + everything.length * ROW;
        const marks = ticks(low, high, Math.min(5, (right - left) / 60));
        keep(axis, marks.length, () => svg("g", {}, svg("line", { class: "fi-grid-line" }), svg("text", { class: "fi-head-text", "text-anchor": "middle" }))).forEach((tick, k) => {
          attributes(tick.firstChild, { x1: x(marks[k]), x2: x(marks[k]), y1: HEAD, y2: bottom });
          attributes(words(tick.lastChild, marks[k] === 0 ? "0" : mark(number(marks[k]))), { x: x(marks[k]), y: bottom + 10 });
        });
        keep(rows, everything.length, makeRow).forEach((group, k) => {
          const one = everything[k];
          const { ground, name, chance, value } = group.parts;
          attributes(group, { transform: `translate(0 ${HEAD + k * ROW})`, "data-name": one.name });
          attributes(ground, { width, style: shownRow === k ? "fill: var(--fi-grid); fill-opacity: 0.5" : null });
          attributes(words(name, ruler.fit(one.name, left - 20, 13)), { x: 2, y: ROW / 2 });
          attributes(chance, one.chance === null ? { visibility: "hidden" } : { x1: x(one.chance), x2: x(one.chance), y1: 3, y2: ROW - 3, visibility: null });
          SIDES.forEach((side) => {
            const { whisker, dot } = group.parts[side];
            const figure = one[side];
            const y = ROW / 2 + (both ? (side === "now" ? BESIDE : -BESIDE) : 0);
            const there = figure.value !== null;
            attributes(whisker, { x1: x(figure.low ?? figure.value ?? low), x2: x(figure.high ?? figure.value ?? low), y1: y, y2: y, visibility: there ? null : "hidden" });
            attributes(dot, { cx: x(figure.value ?? low), cy: y, visibility: there ? null : "hidden" });
          });
          const told = both ? `${number(one.before.value)} \u2192 ${number(one.now.value)}` : number(one.now.value);
          attributes(words(value, told), { x: width - 4, y: ROW / 2 });
        });
        const entries = [...(both ? [{ side: "before", text: model.get("before_name") }] : []), { side: "now", text: model.get("now_name") },
          { side: null, text: "without a leak" }];
        const free = width - 4 - entries.reduce((sum, { text }) => sum + ruler.width(text) + 38, 0);
        let place = free > left ? left : 2;
        keep(legend, entries.length, () => svg("g", {}, svg("circle", { class: "fi-leak-dot", r: 4.5 }), svg("line", { class: "fi-leak-chance", y1: -7, y2: 7 }), svg("text", { class: "fi-head-text" })))
          .forEach((group, k) => {
            const { side, text } = entries[k];
            const told = free >= 0 ? text : ruler.fit(text, Math.max(width / entries.length - 40, 40));
            attributes(group, { transform: `translate(${place + 6} ${bottom + 32})` });
            attributes(group.children[0], { "data-side": side, visibility: side ? null : "hidden" });
            attributes(group.children[1], { visibility: side ? "hidden" : null });
            attributes(words(group.children[2], told), { x: 12 });
            place += 12 + ruler.width(told) + 26;
          });
        attributes(picture, { width, height: bottom + FOOT });
        const shown = shownRow === null ? null : everything[shownRow];
        words(readout, shown ? shown.said : "Lines: 95 % intervals. Arrow keys explain each row.");
      };
    }

    return mountView({ model, el }, {
      name: "leak-dots",
      build,
      image: () => picture,
      isEmpty: () => !model.get("names").length,
      label: () => `${model.get("title")}: ${all().map(({ said }) => said).join(" ")}`,
      table: () => ({
        columns: [{ name: "what" }, { name: `${model.get("before_name")}`, kind: "number" }, { name: "from", kind: "number" }, { name: "to", kind: "number" },
          { name: model.get("now_name"), kind: "number" }, { name: "from", kind: "number" }, { name: "to", kind: "number" }, { name: "without a leak", kind: "number" }],
        rows: all().map((one) => [one.name, one.before.value, one.before.low, one.before.high, one.now.value, one.now.low, one.now.high, one.chance]),
      }),
    });
  },
};
