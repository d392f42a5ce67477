import { attributes, hover, keep, svg, words } from "./dom.js";
import { mark, points, stickyEnd, ticks } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";

const ROW = 32;
const HEAD = 20;
const FOOT = 20;
const BAR = 9;

// Who loses, in a word; a party cares for its own classes first.
function verdict({ gain, own }) {
  if (gain < 0 && (own === null || own < 0)) return "loses";
  if (own !== null && own < 0) return "loses on own";
  return gain !== null && gain < 0 ? "loses on all" : "";
}

function makeRow(paint) {
  const mark = chip(paint);
  const text = (name) => svg("text", { class: name });
  const bar = () => svg("rect", { class: "fi-bar fi-glide", height: BAR, rx: 1 });
  const parts = { name: text("fi-name"), gainBar: bar(), ownBar: bar(), gain: text("fi-number"), own: text("fi-number"), verdict: text("fi-loss-word") };
  const group = svg("g", { "data-testid": "fi-row" }, svg("title"), svg("rect", { class: "fi-row-ground", height: ROW }), mark.node,
    ...Object.values(parts));
  group.parts = { ...parts, mark, ground: group.children[1] };
  return group;
}

export default {
  render({ model, el }) {
    const colours = () => colourNumbers(model.get("colours"), model.get("parties").length);
    const all = (numbers = colours()) => model.get("parties").map((name, k) => ({
      name,
      colour: numbers[k],
      gain: model.get("gains")[k] ?? null,
      own: model.get("gains_own")[k] ?? null,
    }));
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const heads = ["party", "", "", ""].map((name) => svg("text", { class: "fi-head-text" }, name));
      const rows = svg("g");
      const axis = svg("g");
      const zero = svg("line", { class: "fi-axis" });
      picture.append(...heads, axis, rows, zero);
      holder.append(picture);
      let ends = [0, 0];

      return (width) => {
        const parties = all();
        const values = parties.flatMap(({ gain, own }) => [gain ?? 0, own ?? 0]);
        ends = [stickyEnd(Math.max(0.01, -Math.min(...values)), ends[0]), stickyEnd(Math.max(0.01, ...values), ends[1])];
        const wide = width >= 560;
        const columns = { own: width, gain: width - (wide ? 104 : 60) };
        words(heads[2], wide ? "all classes pp" : "all pp");
        words(heads[3], wide ? "own classes pp" : "own pp");
        const names = Math.max(ruler.widest(parties.map(({ name }) => name), 13), ruler.width("loses on own", 11, 600));
        const left = Math.min(Math.ceil(names), Math.floor(width * 0.3)) + 28;
        const room = Math.max(columns.gain - (wide ? 96 : 56) - left, 40);
        const x = (value) => left + (room * (value + ends[0])) / (ends[0] + ends[1]);
        words(heads[1], ruler.fit("loses \u2190 0 \u2192 gains", room));
        [0, x(0), columns.gain, columns.own].forEach((at, k) => attributes(heads[k], { x: at, y: HEAD / 2,
          "text-anchor": ["start", "middle", "end", "end"][k] }));
        attributes(heads[1], { visibility: x(0) - left > 50 && left + room - x(0) > 50 ? null : "hidden" });

        keep(rows, parties.length, () => makeRow(paint)).forEach((row, k) => {
          const party = parties[k];
          const parts = row.parts;
          const lost = verdict(party);
          attributes(row, { transform: `translate(0 ${HEAD + k * ROW})`, "data-party": party.name, "data-loses": lost ? "true" : "false" });
          attributes(parts.ground, { width });
          attributes(parts.mark.node, { x: 2, y: (lost ? 10 : ROW / 2) - 5 });
          parts.mark.colour(party.colour);
          words(parts.name, ruler.fit(party.name, left - 28, 13));
          attributes(parts.name, { x: 20, y: lost ? 10 : ROW / 2 });
          [[parts.gainBar, party.gain, 6, ""], [parts.ownBar, party.own, 6 + BAR + 2, " fi-second"]].forEach(([bar, value, y, extra]) => {
            const [from, to] = [x(Math.min(value ?? 0, 0)), x(Math.max(value ?? 0, 0))];
            const fill = value < 0 ? paint.loss(party.colour) : paint.area(party.colour);
            attributes(bar, { y, class: `fi-bar fi-glide${extra}`,
              style: `x: ${from.toFixed(1)}px; width: ${(to - from).toFixed(1)}px; fill: ${fill}; stroke: ${lineColour(party.colour)}` });
          });
          words(parts.gain, points(party.gain));
          words(parts.own, points(party.own));
          words(parts.verdict, lost);
          attributes(parts.gain, { x: columns.gain, y: ROW / 2 });
          attributes(parts.own, { x: columns.own, y: ROW / 2 });
          attributes(parts.verdict, { x: 20, y: 24 });
          hover(row, `${party.name}: ${points(party.gain)} points on all classes (upper bar), ${party.own === null ? "private" : `${points(party.own)} points`} on its own (lower bar)${lost ? `; it ${lost} by joining` : ""}`);
        });

        const bottom = HEAD + parties.length * ROW;
        const marks = ticks(-ends[0], ends[1], room / 70);
        keep(axis, marks.length, () => svg("g", {}, svg("line", { class: "fi-grid-line" }), svg("text", { class: "fi-head-text", "text-anchor": "middle" })))
          .forEach((tick, k) => {
            attributes(tick.firstChild, { x1: x(marks[k]), x2: x(marks[k]), y1: HEAD, y2: bottom });
            words(tick.lastChild, mark(points(marks[k])));
            attributes(tick.lastChild, { x: x(marks[k]), y: bottom + FOOT / 2 });
          });
        attributes(zero, { x1: x(0), x2: x(0), y1: HEAD, y2: bottom });
        attributes(picture, { width, height: bottom + FOOT });
      };
    }

    return mountView({ model, el }, {
      name: "gain-bars",
      build,
      image: () => picture,
      isEmpty: () => model.get("parties").length === 0 || model.get("gains").length === 0,
      note: () => "upper bar: all classes; lower: its own",
      label: () => `${model.get("title")}, round ${model.get("round")}: ${all().map((party) =>
        `${party.name} ${points(party.gain)} points${verdict(party) ? `, ${verdict(party)}` : ""}`).join("; ")}`,
      table: () => ({
        columns: [{ name: "party" }, { name: "gain, all classes", unit: "pp", kind: "points" },
          { name: "gain, own classes", unit: "pp", kind: "points" }, { name: "verdict" }],
        rows: all().map((party) => [party.name, party.gain, party.own, verdict(party) || "gains"]),
        colours: colours(),
        faults: all().map((party) => (verdict(party) ? `${verdict(party)} by joining` : "")),
      }),
    });
  },
};
