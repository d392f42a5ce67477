import { attributes, hover, keep, svg, words } from "./dom.js";
import { mark, percent, ticks } from "./format.js";
import { mountView } from "./frame.js";
import { markNode, ruleColour, ruleDash, ruleMark, rulesOf } from "./rules_paint.js";

const ROW = 24;
const HEAD = 20;
const FOOT = 22;
const LINE = 14;

function makeRow() {
  const parts = { name: svg("text"), whisker: svg("line", { class: "fi-whisker" }), dot: markNode(), value: svg("text", { class: "fi-number" }),
    interval: svg("text", { class: "fi-number fi-head-text" }) };
  const group = svg("g", { "data-testid": "fi-row" }, svg("title"), svg("rect", { class: "fi-row-ground", height: ROW }), ...Object.values(parts));
  group.parts = { ...parts, ground: group.children[1] };
  return group;
}

export default {
  render({ model, el }) {
    const all = () => rulesOf(model).map((one) => ({ ...one, accuracy: model.get("accuracies")[one.place] ?? null,
      low: model.get("lows")[one.place] ?? null, high: model.get("highs")[one.place] ?? null }));
    const range = ({ low, high }) => (low === null ? "" : `${percent(low)}\u2013${percent(high)}`);
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { ruler }) {
      const heads = ["rule", "%", "95 % interval"].map((name) => svg("text", { class: "fi-head-text" }, name));
      const [axis, lines, rows] = [svg("g"), svg("g"), svg("g")];
      picture.append(...heads, axis, lines, rows);
      holder.append(picture);

      return (width) => {
        const everything = all();
        const shown = everything.filter(({ kind }) => kind === "rule");
        const bounds = everything.filter(({ kind, accuracy }) => kind !== "rule" && accuracy !== null);
        const wide = width >= 480;
        const columns = { interval: width - 2, value: width - (wide ? 92 : 2) };
        const left = Math.min(Math.ceil(ruler.widest(shown.map(({ name }) => name), 13)), Math.floor(width * 0.36)) + 20;
        const right = columns.value - 52;
        const values = everything.flatMap(({ accuracy, low, high, kind }) => (kind === "rule" ? [low ?? accuracy, high ?? accuracy] : [accuracy]));
        const known = values.filter((value) => value !== null);
        const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((one) => (Math.max(...known) - Math.min(...known)) / one <= 6) ?? 0.2;
        const low = Math.max(Math.floor(Math.min(...known) / step + 1e-9) * step, 0);
        const high = Math.max(Math.min(Math.ceil(Math.max(...known) / step - 1e-9) * step, 1), low + step);
        const x = (value) => left + ((value - low) / (high - low)) * (right - left);

        // Names of the bounds above their lines, one below another where they would touch.
        const placed = bounds.map((one) => ({ ...one, text: `${one.name} ${percent(one.accuracy)}` })).sort((a, b) => a.accuracy - b.accuracy);
        const ends = [];
        placed.forEach((one) => {
          const half = ruler.width(one.text) / 2;
          one.at = Math.min(Math.max(x(one.accuracy), left + half), right + 8 - half);
          one.line = ends.findIndex((end) => end <= one.at - half);
          if (one.line < 0) one.line = ends.push(0) - 1;
          ends[one.line] = one.at + half + 10;
        });
        const top = HEAD + ends.length * LINE;
        [[0, "start"], [columns.value, "end"], [columns.interval, "end"]].forEach(([at, anchor], k) => attributes(heads[k], { x: at, y: top - HEAD / 2,
          "text-anchor": anchor, visibility: k === 2 && !wide ? "hidden" : null }));
        const bottom = top + shown.length * ROW;

        keep(rows, shown.length, makeRow).forEach((row, k) => {
          const one = shown[k];
          const { name, whisker, dot, value, interval, ground } = row.parts;
          attributes(row, { transform: `translate(0 ${top + k * ROW})`, "data-rule": one.name });
          attributes(ground, { width });
          words(name, ruler.fit(one.name, left - 20, 13));
          attributes(name, { x: 2, y: ROW / 2 });
          const there = one.accuracy !== null;
          attributes(whisker, { x1: x(one.low ?? one.accuracy ?? low), x2: x(one.high ?? one.accuracy ?? low), y1: ROW / 2, y2: ROW / 2,
            visibility: there ? null : "hidden", style: `stroke: ${ruleColour(one)}` });
          ruleMark(dot, one);
          attributes(dot, { transform: `translate(${x(one.accuracy ?? low).toFixed(1)} ${ROW / 2})`, visibility: there ? null : "hidden" });
          words(value, percent(one.accuracy));
          attributes(value, { x: columns.value, y: ROW / 2 });
          words(interval, range(one));
          attributes(interval, { x: columns.interval, y: ROW / 2, visibility: wide ? null : "hidden" });
          hover(row, `${one.name}: ${percent(one.accuracy)} % right, 95 % interval ${range(one)} %`);
        });
        keep(lines, placed.length, () => svg("g", { "data-testid": "fi-bound" }, svg("title"), svg("line", { class: "fi-bound-line" }),
          svg("text", { class: "fi-head-text", "text-anchor": "middle" }))).forEach((node, k) => {
          const one = placed[k];
          const [, line, text] = node.children;
          hover(node, `${one.name}, a bound: ${percent(one.accuracy)} %`);
          attributes(node, { "data-rule": one.name });
          attributes(line, { x1: x(one.accuracy), x2: x(one.accuracy), y1: (one.line + 1) * LINE, y2: bottom, "stroke-dasharray": ruleDash(one) });
          words(text, one.text);
          attributes(text, { x: one.at, y: one.line * LINE + LINE / 2 });
        });
        const marks = ticks(low, high, Math.min(6, (right - left) / 60));
        keep(axis, marks.length, () => svg("g", {}, svg("line", { class: "fi-grid-line" }), svg("text", { class: "fi-head-text", "text-anchor": "middle" })))
          .forEach((tick, k) => {
            attributes(tick.firstChild, { x1: x(marks[k]), x2: x(marks[k]), y1: top, y2: bottom });
            words(tick.lastChild, `${mark(percent(marks[k]))}${k === marks.length - 1 ? " %" : ""}`);
            attributes(tick.lastChild, { x: x(marks[k]), y: bottom + FOOT / 2 });
          });
        attributes(picture, { width, height: bottom + FOOT });
      };
    }

    return mountView({ model, el }, {
      name: "accuracy-dots",
      build,
      image: () => picture,
      isEmpty: () => model.get("accuracies").every((value) => value === null),
      note: () => "line: 95 % interval; dashed, dotted: bounds, which no rule can be",
      label: () => `${model.get("title")}: ${all().map((one) => `${one.name}${one.kind === "rule" ? "" : " (bound)"} ${percent(one.accuracy)} %`).join("; ")}`,
      table: () => ({
        columns: [{ name: "rule" }, { name: "", kind: "text" }, { name: "accuracy", unit: "%", kind: "percent" },
          { name: "from", unit: "%", kind: "percent" }, { name: "to", unit: "%", kind: "percent" }],
        rows: all().map((one) => [one.name, one.kind === "rule" ? "rule" : "bound", one.accuracy, one.low, one.high]),
      }),
    });
  },
};
