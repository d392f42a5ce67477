import { attributes, hover, keep, svg, words } from "./dom.js";
import { number } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";

const ROW = 28;
const HEAD = 20;
const BAR = 14;
const HALO = 6;
const MARK = 20; // a mark stands out above and below its bar

const isFine = (status) => !status || status === "present";

function makeRow(paint) {
  const mark = chip(paint);
  const text = (name) => svg("text", { class: name });
  const parts = {
    track: svg("rect", { class: "fi-track" }),
    bar: svg("rect", { class: "fi-bar fi-glide", "data-testid": "fi-bar", rx: 1, height: BAR }),
    name: text("fi-name"),
    equal: svg("line", { class: "fi-even" }),
    merit: svg("line", { class: "fi-merit", "data-testid": "fi-merit", style: "stroke: var(--fi-text); stroke-width: 2" }),
    status: text("fi-status-word"),
    paid: text("fi-number"),
    deserved: text("fi-number"),
  };
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
      paid: model.get("paid")[k] ?? null,
      merit: model.get("merit")[k] ?? null,
      equal: model.get("equal")[k] ?? null,
      status: model.get("statuses")[k] || "present",
      reason: model.get("reasons")[k] || "",
    }));
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const heads = ["party", "", "", ""].map((name) => svg("text", { class: "fi-head-text" }, name));
      const rows = svg("g");
      const zero = svg("line", { class: "fi-axis" });
      picture.append(...heads, rows, zero);
      holder.append(picture);

      return (width) => {
        const parties = all();
        const most = Math.max(1e-12, ...parties.flatMap(({ paid, merit, equal }) => [paid ?? 0, merit ?? 0, equal ?? 0])) * 1.04;
        const known = parties.some(({ merit }) => merit !== null);
        const left = Math.min(Math.ceil(ruler.widest(parties.map(({ name }) => name), 13)), Math.floor(width * 0.3)) + 28;
        const columns = { merit: width, paid: width - (known ? 76 : 0) };
        const room = Math.max(columns.paid - 64 - left, 20);
        const x = (value) => left + (room * value) / most;
        [[0, "party", "start"], [left, model.get("window"), "start"], [columns.paid, `paid, ${model.get("unit")}`, "end"],
          [columns.merit, known ? "by merit" : "", "end"]].forEach(([at, value, anchor], k) => {
          attributes(heads[k], { x: at, y: HEAD / 2, "text-anchor": anchor });
          words(heads[k], k === 1 ? ruler.fit(value, room - 24) : value);
        });

        keep(rows, parties.length, () => makeRow(paint)).forEach((row, k) => {
          const { mark, track, bar, name, equal, merit, status, paid, deserved, ground } = row.parts;
          const party = parties[k];
          const fine = isFine(party.status);
          attributes(row, { transform: `translate(0 ${HEAD + k * ROW})`, "data-party": party.name, "data-status": party.status, "data-paid": party.paid });
          attributes(ground, { width });
          attributes(mark.node, { x: 2, y: (ROW - 10) / 2 });
          mark.colour(party.colour);
          words(name, ruler.fit(party.name, left - 28, 13));
          attributes(name, { x: 20, y: ROW / 2 });
          const y = (ROW - BAR) / 2;
          attributes(track, { x: left, y, width: room, height: BAR, style: `fill: ${fine ? "none" : paint.hatch()}` });
          const to = x(party.paid ?? 0);
          attributes(bar, { y, class: `fi-bar fi-glide${fine ? "" : " fi-faded"}`,
            style: `x: ${left}px; width: ${(to - left).toFixed(1)}px; fill: ${paint.area(party.colour)}; stroke: ${lineColour(party.colour)}` });
          [[merit, party.merit], [equal, party.equal]].forEach(([line, value]) => attributes(line, { x1: x(value ?? 0), x2: x(value ?? 0),
            y1: (ROW - MARK) / 2, y2: (ROW + MARK) / 2, visibility: value === null ? "hidden" : null }));
          const word = fine ? "" : party.status;
          words(status, word);
          // The word stands behind the bar and its marks; where there is no room, at the bar's beginning.
          const behind = Math.max(to, x(party.merit ?? 0), x(party.equal ?? 0)) + HALO;
          attributes(status, { x: behind + ruler.width(word) <= left + room ? behind : left + HALO, y: ROW / 2 });
          [[paid, party.paid, columns.paid], [deserved, known ? party.merit : undefined, columns.merit]].forEach(([node, value, at]) => {
            words(node, value === undefined ? "" : number(value));
            attributes(node, { x: at, y: ROW / 2 });
          });
          hover(row, `${party.name}: paid ${number(party.paid)} ${model.get("unit")}, by merit ${number(party.merit)}, equal split ${number(party.equal)}`
            + `${fine ? "" : `; ${party.status}${party.reason ? ` (${party.reason})` : ""}`}`);
        });
        const bottom = HEAD + parties.length * ROW;
        attributes(picture, { width, height: bottom + 4 });
        attributes(zero, { x1: left, x2: left, y1: HEAD, y2: bottom });
      };
    }

    return mountView({ model, el }, {
      name: "pay-bars",
      build,
      image: () => picture,
      isEmpty: () => model.get("parties").length === 0 || model.get("paid").length === 0,
      note: () => `${all().some(({ merit }) => merit !== null) ? "line: by merit; " : ""}dotted: equal split`,
      label: () => `${model.get("title")}, ${model.get("window")}, round ${model.get("round")}: ${all().map((party) =>
        `${party.name} ${number(party.paid)} ${model.get("unit")}, by merit ${number(party.merit)}${isFine(party.status) ? "" : `, ${party.status}`}`).join("; ")}`,
      table: () => ({
        columns: [{ name: "party" }, ...["paid", "by merit", "equal split"].map((name) => ({ name, unit: model.get("unit"), kind: "number" }))],
        rows: all().map((party) => [party.name, party.paid, party.merit, party.equal]),
        colours: colours(),
        faults: all().map((party) => (isFine(party.status) ? "" : `${party.status}${party.reason ? `: ${party.reason}` : ""}`)),
      }),
    });
  },
};
