import { attributes, hover, keep, svg, words } from "./dom.js";
import { number, percent, stickyEnd } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";

const ROW = 24;
const HEAD = 20;
const BAR = 14;
const HALO = 6;

const isPresent = (status) => !status || status === "present";

function makeRow(paint) {
  const mark = chip(paint);
  const parts = {
    track: svg("rect", { class: "fi-track" }),
    bar: svg("rect", { class: "fi-bar fi-glide", "data-testid": "fi-bar", rx: 1, height: BAR }),
    name: svg("text", { class: "fi-name" }),
    status: svg("text", { class: "fi-status-word" }),
    share: svg("text", { class: "fi-number" }),
    accuracy: svg("text", { class: "fi-number" }),
    latency: svg("text", { class: "fi-number" }),
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
      share: model.get("shares")[k] ?? null,
      accuracy: model.get("accuracies")[k] ?? null,
      latency: model.get("latencies_ms")[k] ?? null,
      status: model.get("statuses")[k] || "present",
      reason: model.get("reasons")[k] || "",
    }));
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const heads = ["party", "", "share %", "accuracy %", "latency ms"].map((name) => svg("text", { class: "fi-head-text" }, name));
      const rows = svg("g");
      const even = svg("line", { class: "fi-even" }, svg("title", {}, "equal share"));
      const zero = svg("line", { class: "fi-axis" });
      picture.append(...heads, rows, even, zero);
      holder.append(picture);
      let end = 0;
      let start = 0;

      return (width) => {
        const parties = all();
        const shares = parties.map(({ share }) => share ?? 0);
        end = stickyEnd(Math.max(...shares, 1 / parties.length), end);
        const lowest = Math.min(...shares, 0);
        start = lowest < 0 ? stickyEnd(-lowest, start) : 0;

        // Columns: name | bar | share | accuracy | latency; from the right, each as wide as its widest content.
        const wide = width >= 520;
        const columns = { latency: wide ? width : null, accuracy: width - (wide ? 76 : 0) };
        columns.share = columns.accuracy - 78;
        const left = Math.min(Math.ceil(ruler.widest(parties.map(({ name }) => name), 13)), Math.floor(width * 0.3)) + 28;
        const room = Math.max(columns.share - 56 - left, 20);
        const x = (share) => left + (room * (share + start)) / (end + start);
        [0, left, columns.share, columns.accuracy, columns.latency].forEach((at, k) => attributes(heads[k], {
          x: at, y: HEAD / 2, "text-anchor": k > 1 ? "end" : "start", visibility: at === null ? "hidden" : null }));
        words(heads[1], ruler.fit(model.get("window"), room));

        keep(rows, parties.length, () => makeRow(paint)).forEach((row, k) => {
          const { mark, track, bar, name, status, share, accuracy, latency, ground } = row.parts;
          const party = parties[k];
          const fine = isPresent(party.status);
          attributes(row, { transform: `translate(0 ${HEAD + k * ROW})`, "data-party": party.name, "data-status": party.status,
            "data-share": party.share });
          attributes(ground, { width });
          attributes(mark.node, { x: 2, y: (ROW - 10) / 2 });
          mark.colour(party.colour);
          words(name, ruler.fit(party.name, left - 28, 13));
          attributes(name, { x: 20, y: ROW / 2 });
          const y = (ROW - BAR) / 2;
          attributes(track, { x: left, y, width: room, height: BAR, style: `fill: ${fine ? "none" : paint.hatch()}` });
          const [from, to] = [x(Math.min(party.share ?? 0, 0)), x(Math.max(party.share ?? 0, 0))];
          attributes(bar, { y, class: `fi-bar fi-glide${fine ? "" : " fi-faded"}`,
            style: `x: ${from.toFixed(1)}px; width: ${Math.max(to - from, 0).toFixed(1)}px; fill: ${paint.area(party.colour)}; stroke: ${lineColour(party.colour)}` });
          const word = fine ? "" : party.status;
          const after = Math.min(to + HALO, left + room - ruler.width(word) - HALO);
          words(status, word);
          attributes(status, { x: Math.max(after, left + 2), y: ROW / 2 });
          [[share, percent(party.share), columns.share], [accuracy, percent(party.accuracy), columns.accuracy],
            [latency, number(party.latency), columns.latency]].forEach(([node, value, at]) => {
            words(node, value);
            attributes(node, { x: at, y: ROW / 2, visibility: at === null ? "hidden" : null });
          });
          hover(row, `${party.name}: ${fine ? "present" : party.status}${party.reason ? ` (${party.reason})` : ""}; share ${percent(party.share)} %, `
            + `accuracy ${percent(party.accuracy)} %, latency ${number(party.latency)} ms`);
        });

        const bottom = HEAD + parties.length * ROW;
        attributes(picture, { width, height: bottom + 4 });
        attributes(even, { x1: x(1 / parties.length), x2: x(1 / parties.length), y1: HEAD, y2: bottom });
        attributes(zero, { x1: x(0), x2: x(0), y1: HEAD, y2: bottom });
      };
    }

    return mountView({ model, el }, {
      name: "contribution-bars",
      build,
      image: () => picture,
      isEmpty: () => model.get("parties").length === 0,
      note: () => `${model.get("method") ? `by ${model.get("method")}; ` : ""}dotted: equal share`,
      label: () => `${model.get("title")}, ${model.get("window")}, round ${model.get("round")}: ${all().map(({ name, share, status }) =>
        `${name} ${percent(share)} %${isPresent(status) ? "" : `, ${status}`}`).join("; ")}`,
      table: () => ({
        columns: [{ name: "party" }, { name: "share", unit: "%", kind: "percent" }, { name: "accuracy", unit: "%", kind: "percent" },
          { name: "latency", unit: "ms", kind: "number" }, { name: "status" }, { name: "reason" }],
        rows: all().map((party) => [party.name, party.share, party.accuracy, party.latency, party.status, party.reason]),
        colours: colours(),
        faults: all().map(({ status, reason }) => (isPresent(status) ? "" : reason || status)),
      }),
    });
  },
};
