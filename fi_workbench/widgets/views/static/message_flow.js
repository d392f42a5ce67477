import { attributes, hover, keep, svg, words } from "./dom.js";
import { mountView } from "./frame.js";
import { chip, lineColour, paints } from "./paint.js";

const LINE = 32;
const GROUP = 24;
const HEAD = 40;
const BARS = 72; // of a histogram
const TALL = 20;
const SAID = 92;
const SIZE = 64;

function makeLine() {
  const parts = {
    ground: svg("rect", { class: "fi-row-ground", height: LINE }),
    arrow: svg("path", { class: "fi-flow-arrow" }),
    tip: svg("path"),
    name: svg("text", { class: "fi-flow-name" }),
    size: svg("text", { class: "fi-number fi-small" }),
    first: svg("text", { class: "fi-hex" }),
    bars: svg("g"),
    said: svg("text", { class: "fi-said" }),
  };
  const group = svg("g", { "data-testid": "fi-row" }, svg("title"), ...Object.values(parts));
  group.parts = parts;
  return group;
}

export default {
  render({ model, el }) {
    const players = () => model.get("players").map((name, k) => ({
      name, role: model.get("roles")[k] ?? "", colour: model.get("colours")[k] ?? null,
    }));
    const holds = (line) => line.sender === line.receiver;
    const between = (line, all = players()) => (holds(line) ? `${all[line.sender].name} holds` : `${all[line.sender].name} to ${all[line.receiver].name}`);
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      const paint = paints(picture, id);
      const lifelines = svg("g");
      const heads = svg("g");
      const groups = svg("g");
      const lines = svg("g");
      const columns = ["size", "first words", "all words", ""].map((name) => svg("text", { class: "fi-head-text" }, name));
      picture.append(lifelines, ...columns, groups, lines, heads);
      holder.append(picture);

      return (width) => {
        const all = players();
        const shown = model.get("lines");
        const wide = width >= 640;
        const room = Math.round(wide ? width * 0.44 : width - BARS - SIZE - 16);
        const x = (lane) => (room * (lane + 0.5)) / all.length;
        const barsAt = width - (wide ? SAID : 0) - BARS;
        const sizeAt = room + SIZE;
        const hexRoom = barsAt - sizeAt - 24;

        let y = HEAD;
        let before = null;
        const marks = [];
        const tops = shown.map((line) => {
          if (line.group !== before) {
            marks.push([line.group, y]);
            y += GROUP;
            before = line.group;
          }
          const top = y;
          y += LINE;
          return top;
        });
        attributes(picture, { width, height: y + 4 });

        keep(heads, all.length, () => {
          const mark = chip(paint);
          const name = svg("text", { class: "fi-strong" });
          const role = svg("text", { class: "fi-head-text", "text-anchor": "middle" });
          const group = svg("g", {}, mark.node, name, role);
          group.parts = { mark, name, role };
          return group;
        }).forEach((head, k) => {
          const { name, role, colour } = all[k];
          const { parts } = head;
          const said = ruler.fit(name, room / all.length - 24, 13, 600);
          const long = ruler.width(said, 13, 600);
          attributes(parts.mark.node, { x: x(k) - long / 2 - 9, y: 5 });
          parts.mark.colour(colour);
          words(parts.name, said);
          attributes(parts.name, { x: x(k) - long / 2 + 6, y: 10 });
          words(parts.role, role);
          attributes(parts.role, { x: x(k), y: 27 });
          hover(head, `${role}: ${name}`);
        });
        keep(lifelines, all.length, () => svg("line", { class: "fi-lifeline" })).forEach((node, k) =>
          attributes(node, { x1: x(k), x2: x(k), y1: HEAD - 4, y2: y }));
        [[sizeAt, "end"], [sizeAt + 16, "start"], [barsAt, "start"], [barsAt + BARS + 8, "start"]].forEach(([at, anchor], k) =>
          attributes(columns[k], { x: at, y: 27, "text-anchor": anchor, visibility: k === 1 && hexRoom < 60 ? "hidden" : null }));
        keep(groups, marks.length, () => svg("g", {}, svg("line", { class: "fi-flow-rule" }), svg("text", { class: "fi-flow-group" })))
          .forEach((node, k) => {
            attributes(node.firstChild, { x1: 0, x2: width, y1: marks[k][1] + 4, y2: marks[k][1] + 4 });
            const name = ruler.fit(marks[k][0], width, 11, 600);
            words(node.lastChild, name);
            attributes(node.lastChild, { x: 0, y: marks[k][1] + 15 });
          });

        keep(lines, shown.length, makeLine).forEach((node, k) => {
          const line = shown[k];
          const { ground, arrow, tip, name, size, first, bars, said } = node.parts;
          const colour = lineColour(all[line.sender].colour);
          attributes(node, { transform: `translate(0 ${tops[k]})`, class: line.fair === false ? "fi-unfair" : null,
            "data-name": line.name, "data-fair": String(line.fair), "data-sender": all[line.sender].role, "data-receiver": all[line.receiver].role });
          attributes(ground, { width });
          const [from, to] = [x(line.sender), x(line.receiver)];
          const middle = (from + to) / 2;
          const step = Math.sign(to - from);
          attributes(arrow, { d: step ? `M${from} 22H${to - step * 6}` : "", style: `stroke: ${colour}` });
          attributes(tip, { d: step ? `M${to} 22l${-step * 8} -4v8z` : `M${from - 4} 22a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z`, style: `fill: ${colour}` });
          const label = ruler.fit(line.name, room);
          const half = ruler.width(label) / 2;
          words(name, label);
          attributes(name, { x: Math.min(Math.max(middle, half), room - half), y: 9 });
          words(size, line.size);
          attributes(size, { x: sizeAt, y: LINE / 2 });
          words(first, ruler.fit(line.first, hexRoom * 0.88));
          attributes(first, { x: sizeAt + 16, y: LINE / 2, visibility: hexRoom < 60 ? "hidden" : null });
          const most = Math.max(1, ...line.counts);
          const each = BARS / Math.max(line.counts.length, 1);
          keep(bars, line.counts.length, () => svg("rect", { class: "fi-count" })).forEach((bar, b) => {
            const tall = (TALL * line.counts[b]) / most;
            attributes(bar, { x: barsAt + b * each, y: 26 - tall, width: Math.max(each - 1, 0.5), height: tall });
          });
          words(said, wide ? line.said : "");
          attributes(said, { x: barsAt + BARS + 8, y: LINE / 2 });
          hover(node, `${between(line, all)}: ${line.name}, ${line.size}, ${line.said}; first words ${line.first}`);
        });
      };
    }

    return mountView({ model, el }, {
      name: "message-flow",
      build,
      image: () => picture,
      isEmpty: () => model.get("lines").length === 0,
      note: () => model.get("note"),
      label: () => `${model.get("title")}: ${model.get("lines").map((line) => `${between(line)} ${line.name}, ${line.size}, ${line.said}`).join("; ")}`,
      table: () => ({
        columns: [{ name: "when" }, { name: "from" }, { name: "to" }, { name: "what" }, { name: "size" }, { name: "looks" }, { name: "first words" }],
        rows: model.get("lines").map((line) => [line.group, players()[line.sender].name, holds(line) ? "(holds)" : players()[line.receiver].name,
          line.name, line.size, line.said, line.first]),
      }),
    });
  },
};
