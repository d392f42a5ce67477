import { attributes, keep, svg, words } from "./dom.js";
import { briefForm, shortForm } from "./heat_words.js";
import { chip } from "./paint.js";

// The parts of a heat map: where they stand, names with their chips, cells, the scale.

const FLAT = 26;
const MOST = 64;
const HIGHEST = 36;
const SLANT = Math.SQRT1_2;
const LONGEST = 152;
const STRIP = 10;
const N_SHADES = 24;
const GAP = 14; // between a chip and its name

// The shade as opacity; one hue where the scale begins at nothing, one to either side otherwise.
function shadeStyle(shade, sides) {
  const hue = !sides ? "only" : shade < 0 ? "down" : "up";
  const strength = Math.min(Math.max(sides ? Math.abs(shade) : shade, 0), 1);
  return `fill: var(--fi-heat-${hue}); fill-opacity: ${(0.04 + 0.96 * strength).toFixed(3)}`;
}

export function layOut(map, width, ruler) {
  const n = Math.max(map.columns.length, 1);
  const left = Math.min(Math.ceil(ruler.widest(map.rows, 13, 600)) + (map.rowColours.length ? 20 : 2) + (map.marks.some(Boolean) ? 22 : 10), Math.floor(width * 0.36));
  const names = ruler.widest(map.columns, 11, 600);
  const within = (right) => Math.max(Math.min((width - left - right) / n, MOST), 4);
  // Where names fit only without their chips, the rows' chips have to do.
  const chipped = map.columnColours.length > 0 && !(names + 4 <= within(0) && names + GAP + 6 > within(0));
  const longest = Math.min(names + (chipped ? GAP : 0), LONGEST);
  const flat = longest + 4 <= within(0);
  // A slanted name leans over what is to its right: the last one needs room there.
  const lean = flat ? 0 : Math.max(longest * SLANT - within(longest * SLANT) / 2 + 4, 0);
  const cell = within(lean);
  const height = Math.max(map.square ? Math.min(cell, HIGHEST) : FLAT, 6);
  const top = flat ? 22 : Math.ceil(longest * SLANT) + 14;
  return { left, top, cell, height, flat, longest, chipped, bottom: top + height * map.rows.length };
}

export function paintColumns(parent, map, plan, paint, ruler, at) {
  const step = plan.flat ? 1 : Math.ceil(13 / plan.cell);
  keep(parent, map.columns.length, () => {
    const mark = chip(paint, 8);
    const group = svg("g", {}, mark.node, svg("text", { class: "fi-heat-column" }));
    group.mark = mark;
    return group;
  }).forEach((group, c) => {
    const name = group.lastChild;
    const { chipped } = plan;
    const x = plan.left + (c + 0.5) * plan.cell;
    const room = (plan.flat ? plan.cell - 4 : plan.longest) - (chipped ? GAP : 0);
    words(name, ruler.fit(map.columns[c], room, 11, 600));
    const start = plan.flat ? -(ruler.width(name.textContent, 11) + (chipped ? GAP : 0)) / 2 : 0;
    attributes(group, { transform: plan.flat ? `translate(${x} 11)` : `translate(${x} ${plan.top - 8}) rotate(-45)`,
      visibility: c % step ? "hidden" : null });
    attributes(group.mark.node, { x: start, y: -4, visibility: chipped ? null : "hidden" });
    if (chipped) group.mark.colour(map.columnColours[c]);
    attributes(name, { x: start + (chipped ? GAP : 0), y: 0, "data-strong": at?.[1] === c ? "true" : null });
  });
}

export function paintRows(parent, map, plan, paint, ruler, at) {
  const step = Math.ceil(13 / plan.height);
  keep(parent, map.rows.length, () => {
    const mark = chip(paint);
    const group = svg("g", { "data-testid": "fi-row" }, mark.node, svg("text", { class: "fi-heat-name" }),
      svg("path", { class: "fi-heat-mark", d: "M0 -5 L5 4 L-5 4 Z" }));
    group.mark = mark;
    return group;
  }).forEach((group, r) => {
    const [, name, flag] = group.children;
    const chipped = map.rowColours.length > 0;
    const y = plan.top + (r + 0.5) * plan.height;
    const marked = Boolean(map.marks[r]);
    const shift = chipped ? 20 : 2;
    words(name, ruler.fit(map.rows[r], plan.left - shift - (marked ? 22 : 8), 13, 600));
    attributes(group, { "data-row": map.rows[r], "data-marked": marked ? "true" : null, visibility: r % step ? "hidden" : null });
    attributes(group.mark.node, { x: 2, y: y - 5, visibility: chipped && r % step === 0 ? null : "hidden" });
    if (chipped) group.mark.colour(map.rowColours[r]);
    attributes(name, { x: shift, y, "data-strong": at?.[0] === r || map.selected === r ? "true" : null });
    attributes(flag, { transform: `translate(${plan.left - 10} ${y})`, visibility: marked ? null : "hidden" });
  });
}

export function paintCells(parent, map, plan, ruler) {
  const written = (form, air) => {
    const all = Array.from(map.values, (value) => form(map, value));
    return plan.height >= 14 && ruler.widest(all, 11) + air <= plan.cell ? all : null;
  };
  const texts = written(shortForm, 6) ?? written(briefForm, 2);
  keep(parent, map.values.length, () => svg("g", { "data-testid": "fi-cell" }, svg("rect", {}), svg("text", {})))
    .forEach((group, k) => {
      const [row, column] = [Math.floor(k / map.columns.length), k % map.columns.length];
      const none = Number.isNaN(map.values[k]);
      const [x, y] = [plan.left + column * plan.cell, plan.top + row * plan.height];
      const [box, text] = group.children;
      attributes(box, { x, y, width: plan.cell, height: plan.height, class: none ? "fi-heat-cell fi-heat-none" : "fi-heat-cell",
        style: none ? null : shadeStyle(map.shades[k], map.sides) });
      words(text, texts?.[k] ?? "");
      attributes(text, { x: x + plan.cell / 2, y: y + plan.height / 2, class: none ? "fi-heat-value fi-heat-blank" : "fi-heat-value" });
    });
}

// The scale as a strip with what its shades stand for, and what a mark means; returns where the picture ends.
export function drawLegend(parent, { entries, marked, sides }, plan, width, ruler) {
  const drawn = entries.length > 1;
  const y = plan.bottom + 10;
  const total = N_SHADES * Math.floor(Math.max(Math.min(264, width - plan.left - 4), 96) / N_SHADES);
  const [low, high] = drawn ? [entries[0][0], entries.at(-1)[0]] : [0, 1];
  const [strip, labels, mark] = keep(parent, 3, () => svg("g"));
  keep(strip, drawn ? N_SHADES : 0, () => svg("rect", { height: STRIP })).forEach((box, k) => {
    const shade = low + ((k + 0.5) / N_SHADES) * (high - low);
    attributes(box, { x: plan.left + (k * total) / N_SHADES, y, width: total / N_SHADES, class: "fi-heat-step", style: shadeStyle(shade, sides) });
  });
  keep(labels, drawn ? entries.length : 0, () => svg("text", { class: "fi-head-text" })).forEach((label, k) => {
    const [shade, text] = entries[k];
    const end = k === 0 || k === entries.length - 1;
    const at = ((shade - low) / (high - low)) * total;
    const clear = Math.min(at - ruler.width(entries[0][1]), total - at - ruler.width(entries.at(-1)[1])) - 6 >= ruler.width(text) / 2;
    words(label, end || clear ? text : ""); // one in between gives way
    attributes(label, { x: plan.left + at, y: y + STRIP + 10,
      "text-anchor": k === 0 ? "start" : k === entries.length - 1 ? "end" : "middle" });
  });
  const below = drawn ? y + STRIP + 20 : plan.bottom + 4;
  const beside = drawn && plan.left + total + 32 + ruler.width(marked, 11) <= width;
  const [x, line] = beside ? [plan.left + total + 24, y + STRIP / 2] : [plan.left + 6, below + 8];
  keep(mark, marked ? 2 : 0, () => (mark.childElementCount ? svg("text", { class: "fi-head-text" }) : svg("path", { class: "fi-heat-mark", d: "M0 -5 L5 4 L-5 4 Z" })));
  if (marked) {
    attributes(mark.firstChild, { transform: `translate(${x} ${line})` });
    words(attributes(mark.lastChild, { x: x + 10, y: line }), marked);
  }
  return marked && !beside ? below + 20 : below;
}
