import { attributes, hover, keep, svg, words } from "./dom.js";
import { mountView } from "./frame.js";
import { paints } from "./paint.js";

const ROW = 24;
const LINE = 14;

const lineOf = (parent, lines, x, top, anchor) => keep(parent, lines.length, () => svg("tspan")).forEach((span, k) => {
  words(span, lines[k]);
  attributes(span, { x, y: top + (k + 0.5) * LINE, "text-anchor": anchor });
});

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });

    function build(holder, { id, ruler }) {
      paints(picture, id);
      const heads = svg("g");
      const rows = svg("g");
      const notes = svg("g");
      picture.append(heads, rows, notes);
      holder.append(picture);

      return (width) => {
        const roles = model.get("roles");
        const items = model.get("items");
        const left = Math.min(Math.max(ruler.widest(items.map(([item]) => item), 13) + 16, 80), width * 0.4);
        const cell = Math.min((width - left) / Math.max(roles.length, 1), 112);
        const broken = roles.map((role) => ruler.wrap(role, cell - 8));
        const top = Math.max(...broken.map(({ length }) => length), 1) * LINE + 8;
        keep(heads, roles.length, () => svg("text", { class: "fi-head-text" })).forEach((node, k) => {
          lineOf(node, broken[k], left + (k + 0.5) * cell, top - 4 - broken[k].length * LINE, "middle");
        });
        keep(rows, items.length, () => svg("g", { "data-testid": "fi-row" }, svg("line", { class: "fi-grid-line" }), svg("text", { class: "fi-name" }), svg("g")))
          .forEach((row, r) => {
            const [item, seen] = items[r];
            const [rule, name, dots] = row.children;
            attributes(row, { transform: `translate(0 ${top + r * ROW})` });
            attributes(rule, { x1: 0, x2: left + cell * roles.length, y1: 0.5, y2: 0.5 });
            words(name, ruler.fit(item, left - 8, 13));
            attributes(name, { x: 2, y: ROW / 2 });
            keep(dots, seen.length, () => svg("circle", { r: 5 })).forEach((dot, k) => {
              attributes(dot, { cx: left + (k + 0.5) * cell, cy: ROW / 2, class: seen[k] ? "fi-dot-seen" : "fi-dot-hidden",
                "data-seen": seen[k] ? "true" : "false" });
              hover(dot, `${roles[k]} ${seen[k] ? "sees" : "does not see"} ${item}`);
            });
          });
        const bottom = top + items.length * ROW;
        const lines = model.get("assumptions").flatMap((one) => ruler.wrap(one, width - 4));
        keep(notes, lines.length, () => svg("text", { class: "fi-head-text" })).forEach((node, k) => {
          words(node, lines[k]);
          attributes(node, { x: 2, y: bottom + 8 + (k + 0.5) * 16 });
        });
        attributes(picture, { width, height: bottom + (lines.length ? 12 + lines.length * 16 : 4) });
      };
    }

    return mountView({ model, el }, {
      name: "disclosure-matrix",
      build,
      image: () => picture,
      isEmpty: () => model.get("items").length === 0,
      note: () => "\u25cf sees it  \u25cb does not",
      label: () => `${model.get("title")}: ${model.get("items").map(([item, seen]) => {
        const who = model.get("roles").filter((_, k) => seen[k]);
        return `${item}: ${who.length ? who.join(", ") : "nobody"}`;
      }).join("; ")}. ${model.get("assumptions").join(" ")}`,
      table: () => ({
        columns: [{ name: "what" }, ...model.get("roles").map((name) => ({ name }))],
        rows: model.get("items").map(([item, seen]) => [item, ...seen.map((one) => (one ? "sees" : "does not see"))]),
      }),
    });
  },
};
