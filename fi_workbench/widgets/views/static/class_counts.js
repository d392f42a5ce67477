import { attributes, hover, keep, svg, words } from "./dom.js";
import { count } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";

const ROW = 30;
const HEAD = 20;
const BAR = 22;
const FOOT = 18;

function makeRow(paint) {
  const mark = chip(paint);
  const parts = {
    hidden: svg("rect", { class: "fi-track", height: BAR }),
    word: svg("text", { class: "fi-status-word" }, "private"),
    base: svg("line", { class: "fi-grid-line" }),
    bars: svg("g"),
    name: svg("text", { class: "fi-name" }),
    total: svg("text", { class: "fi-number" }),
  };
  const group = svg("g", { "data-testid": "fi-row" }, mark.node, ...Object.values(parts));
  group.parts = { ...parts, mark };
  return group;
}

export default {
  render({ model, el }) {
    const colours = () => colourNumbers(model.get("colours"), model.get("parties").length);
    const all = (numbers = colours()) => model.get("parties").map((name, k) => ({
      name,
      colour: numbers[k],
      counts: model.get("counts")[k] ?? null,
    }));
    const total = (counts) => (counts ? counts.reduce((sum, one) => sum + one, 0) : null);
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const heads = ["party", "classes", "examples"].map((name) => svg("text", { class: "fi-head-text" }, name));
      const rows = svg("g");
      const foot = svg("g");
      picture.append(...heads, rows, foot);
      holder.append(picture);

      return (width) => {
        const parties = all();
        const classes = model.get("classes");
        const most = Math.max(1, ...parties.flatMap(({ counts }) => counts ?? []));
        const left = Math.min(Math.ceil(ruler.widest(parties.map(({ name }) => name), 13)), Math.floor(width * 0.3)) + 28;
        const room = Math.max(width - 64 - left, 40);
        const cell = Math.min(room / Math.max(classes.length, 1), 64);
        const bar = Math.max(Math.min(cell - 2, cell * 0.8), 1);
        [0, left, width].forEach((at, k) => attributes(heads[k], { x: at, y: HEAD / 2, "text-anchor": k === 2 ? "end" : "start" }));

        keep(rows, parties.length, () => makeRow(paint)).forEach((row, k) => {
          const { mark, hidden, word, base, bars, name, total: sum } = row.parts;
          const party = parties[k];
          const secret = party.counts === null;
          const floor = (ROW + BAR) / 2;
          attributes(row, { transform: `translate(0 ${HEAD + k * ROW})`, "data-party": party.name, "data-private": secret ? "true" : "false" });
          attributes(mark.node, { x: 2, y: (ROW - 10) / 2 });
          mark.colour(party.colour);
          words(name, ruler.fit(party.name, left - 28, 13));
          attributes(name, { x: 20, y: ROW / 2 });
          words(sum, count(total(party.counts)));
          attributes(sum, { x: width, y: ROW / 2 });
          attributes(hidden, { x: left, y: floor - BAR, width: cell * classes.length, visibility: secret ? null : "hidden", style: `fill: ${paint.hatch()}` });
          attributes(word, { x: left + 8, y: ROW / 2, visibility: secret ? null : "hidden" });
          attributes(base, { x1: left, x2: left + cell * classes.length, y1: floor + 0.5, y2: floor + 0.5 });
          keep(bars, secret ? 0 : classes.length, () => svg("g", {}, svg("rect", { class: "fi-hit", height: BAR }), svg("rect", { class: "fi-bar fi-glide" })))
            .forEach((one, c) => {
              const value = party.counts[c];
              const size = value > 0 ? Math.max((value / most) * BAR, 1) : 0;
              attributes(one.children[one.childElementCount - 2], { x: left + c * cell, y: floor - BAR, width: cell });
              attributes(one.lastChild, { x: left + c * cell + (cell - bar) / 2, width: bar,
                style: `y: ${(floor - size).toFixed(1)}px; height: ${size.toFixed(1)}px; fill: ${paint.area(party.colour)}; stroke: ${lineColour(party.colour)}; stroke-width: ${size ? 0.75 : 0}` });
              hover(one, `${party.name}, class ${classes[c]}: ${count(value)} of ${count(total(party.counts))}`);
            });
        });

        // Class names beneath, where all of them fit.
        const shown = ruler.widest(classes) + 4 <= cell ? classes : [];
        const bottom = HEAD + parties.length * ROW;
        keep(foot, shown.length, () => svg("text", { class: "fi-head-text", "text-anchor": "middle" })).forEach((node, c) => {
          words(node, shown[c]);
          attributes(node, { x: left + (c + 0.5) * cell, y: bottom + FOOT / 2 });
        });
        attributes(picture, { width, height: bottom + (shown.length ? FOOT : 4) });
      };
    }

    return mountView({ model, el }, {
      name: "class-counts",
      build,
      image: () => picture,
      isEmpty: () => model.get("parties").length === 0,
      label: () => `${model.get("title")}: ${all().map(({ name, counts }) => {
        if (!counts) return `${name} private`;
        const top = model.get("classes")[counts.indexOf(Math.max(...counts))];
        return `${name} ${count(total(counts))} examples, most of class ${top}`;
      }).join("; ")}`,
      table: () => ({
        columns: [{ name: "party" }, ...model.get("classes").map((name) => ({ name, kind: "count" })), { name: "examples", kind: "count" }],
        rows: all().map(({ name, counts }) => [name, ...model.get("classes").map((_, c) => (counts ? counts[c] : "private")), total(counts)]),
        colours: colours(),
      }),
    });
  },
};
