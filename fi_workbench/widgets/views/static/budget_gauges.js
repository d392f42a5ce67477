import { attributes, hover, keep, svg, words } from "./dom.js";
import { count, number } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";

const ROW = 28;
const HEAD = 20;
const GAUGE = 12;
const COLUMN = 60; // of a number
const COLUMNS = ["spent", "limit", "left", "queries"];
const WORD = { open: "", refused: "refuses", spent: "spent: refuses", unlimited: "no limit set", unprotected: "no limit set, no guarantee", untold: "limit known elsewhere" };

function makeRow(paint) {
  const mark = chip(paint);
  const parts = {
    track: svg("rect", { class: "fi-gauge", height: GAUGE, rx: 2 }),
    bar: svg("rect", { class: "fi-bar fi-glide", "data-testid": "fi-bar", height: GAUGE, rx: 2 }),
    name: svg("text", { class: "fi-name" }),
    word: svg("text", { class: "fi-status-word" }),
    numbers: svg("g"),
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
      kind: model.get("kinds")[k] || "open",
      spent: model.get("spent")[k] ?? null,
      limit: model.get("limits")[k] ?? null,
      left: model.get("left")[k] ?? null,
      queries: model.get("queries")[k] ?? null,
      sentence: model.get("sentences")[k] || "",
    }));
    const spentWord = ({ spent }) => (spent === null ? "\u221e" : number(spent));
    const limitWord = ({ limit, kind }) => (kind === "unlimited" || kind === "unprotected" ? "none" : number(limit));
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const heads = ["party", "", ...COLUMNS].map((name) => svg("text", { class: "fi-head-text" }, name));
      const rows = svg("g");
      picture.append(...heads, rows);
      holder.append(picture);

      return (width) => {
        const parties = all();
        const left = Math.min(Math.ceil(ruler.widest(parties.map(({ name }) => name), 13)), Math.floor(width * 0.25)) + 28;
        const right = width - COLUMNS.length * COLUMN;
        const room = Math.max(right - left - 8, 24);
        [[0, "start"], [left, "start"]].forEach(([x, anchor], k) => attributes(heads[k], { x, y: HEAD / 2, "text-anchor": anchor }));
        COLUMNS.forEach((_, k) => attributes(heads[k + 2], { x: right + (k + 1) * COLUMN, y: HEAD / 2, "text-anchor": "end" }));
        const limited = parties.some(({ limit }) => limit !== null);
        words(heads[1], limited ? ruler.fit("epsilon spent, of the limit", room) : "");

        keep(rows, parties.length, () => makeRow(paint)).forEach((row, k) => {
          const { mark, track, bar, name, word, numbers, ground } = row.parts;
          const party = parties[k];
          const refuses = party.kind === "refused" || party.kind === "spent";
          attributes(row, { transform: `translate(0 ${HEAD + k * ROW})`, "data-party": party.name, "data-kind": party.kind,
            "data-spent": party.spent, class: refuses ? "fi-gauge-spent" : null });
          attributes(ground, { width });
          attributes(mark.node, { x: 2, y: (ROW - 10) / 2 });
          mark.colour(party.colour);
          words(name, ruler.fit(party.name, left - 28, 13));
          attributes(name, { x: 20, y: ROW / 2 });
          const y = (ROW - GAUGE) / 2;
          const gauged = party.limit !== null;
          const share = party.limit > 0 ? Math.min((party.spent ?? party.limit) / party.limit, 1) : 0;
          attributes(track, { x: left, y, width: room, visibility: gauged ? null : "hidden" });
          attributes(bar, { y, visibility: gauged ? null : "hidden",
            style: `x: ${left}px; width: ${(room * share).toFixed(1)}px; ${refuses ? "" : `fill: ${paint.area(party.colour)}; stroke: ${lineColour(party.colour)}`}` });
          // The word stands behind the bar; where there is no room, on it.
          const said = ruler.fit(WORD[party.kind], room - 12);
          const behind = gauged ? room * share + 6 : 0;
          const on = behind + ruler.width(said) > room;
          words(word, said);
          attributes(word, { x: left + (on ? 6 : behind), y: ROW / 2, class: `fi-status-word${on ? " fi-on-bar" : ""}` });
          const values = [spentWord(party), limitWord(party), party.limit === null ? "-" : number(party.left), count(party.queries)];
          keep(numbers, values.length, () => svg("text", { class: "fi-number" })).forEach((node, c) => {
            words(node, values[c]);
            attributes(node, { x: right + (c + 1) * COLUMN, y: ROW / 2 });
          });
          hover(row, party.sentence || party.name);
        });
        attributes(picture, { width, height: HEAD + parties.length * ROW + 4 });
      };
    }

    return mountView({ model, el }, {
      name: "budget-gauges",
      build,
      image: () => picture,
      isEmpty: () => model.get("parties").length === 0,
      note: () => model.get("note"),
      label: () => `${model.get("title")}, ${model.get("note")}: ${all().map((party) =>
        `${party.name} spent ${spentWord(party)} of ${limitWord(party)}${WORD[party.kind] ? `, ${WORD[party.kind]}` : ""}`).join("; ")}`,
      table: () => ({
        columns: [{ name: "party" }, ...["spent", "limit", "left"].map((name) => ({ name, unit: "epsilon", kind: "number" })),
          { name: "queries", kind: "count" }, { name: "state" }],
        rows: all().map((party) => [party.name, party.spent, party.limit, party.left, party.queries, WORD[party.kind]]),
        colours: colours(),
        faults: all().map(({ kind, sentence }) => (kind === "spent" || kind === "refused" ? sentence : "")),
      }),
    });
  },
};
