import { attributes, hover, keep, svg, words } from "./dom.js";
import { mountView } from "./frame.js";
import { paints } from "./paint.js";

const ROW = 24;
const LINE = 14;
const DASH = 12; // before an assumption

const lineOf = (parent, lines, x, top, anchor) => keep(parent, lines.length, () => svg("tspan")).forEach((span, k) => {
  words(span, lines[k]);
  attributes(span, { x, y: top + (k + 0.5) * LINE, "text-anchor": anchor });
});

// What a dot says beside what it is compared to.
const CHANGE = { withheld: (name) => `; under ${name} it would`, added: (name) => `; under ${name} it would not` };

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });
    const changed = (r, k) => {
      const [, seen] = model.get("items")[r];
      const before = model.get("before")[r]?.[1][k] ?? seen[k];
      return before === seen[k] ? "" : before ? "withheld" : "added";
    };
    const anyWithheld = () => model.get("items").some(([, seen], r) => seen.some((_, k) => changed(r, k) === "withheld"));
    const cellWords = (one, r, k) => `${one ? "sees" : "does not see"}${changed(r, k) ? ` (unlike under ${model.get("before_name")})` : ""}`;

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
            keep(dots, seen.length, () => svg("g", {}, svg("circle", { r: 5, cy: ROW / 2 }), svg("line", { class: "fi-withheld", y1: ROW / 2 + 5, y2: ROW / 2 - 5 })))
              .forEach((group, k) => {
                const [dot, stroke] = group.querySelectorAll("circle, line");
                const x = left + (k + 0.5) * cell;
                const change = changed(r, k);
                attributes(dot, { cx: x, class: seen[k] ? "fi-dot-seen" : "fi-dot-hidden", "data-seen": seen[k] ? "true" : "false", "data-change": change || null });
                attributes(stroke, { x1: x - 5, x2: x + 5, visibility: change === "withheld" ? null : "hidden" });
                hover(group, `${roles[k]} ${seen[k] ? "sees" : "does not see"} ${item}${CHANGE[change]?.(model.get("before_name")) ?? ""}`);
              });
          });
        const bottom = top + items.length * ROW;
        const lines = model.get("assumptions").flatMap((one) => ruler.wrap(one, width - DASH).map((line, k) => [k ? "" : "\u2013", line]));
        keep(notes, lines.length, () => svg("text", { class: "fi-head-text" }, svg("tspan"), svg("tspan"))).forEach((node, k) => {
          const y = bottom + 8 + (k + 0.5) * 16;
          [...node.children].forEach((part, c) => attributes(words(part, lines[k][c]), { x: c * DASH, y }));
        });
        attributes(picture, { width, height: bottom + (lines.length ? 12 + lines.length * 16 : 4) });
      };
    }

    return mountView({ model, el }, {
      name: "disclosure-matrix",
      build,
      image: () => picture,
      isEmpty: () => model.get("items").length === 0,
      note: () => `\u25cf sees it  \u25cb does not${anyWithheld() ? `  \u2298 ${model.get("before_name")} only` : ""}`,
      label: () => `${model.get("title")}: ${model.get("items").map(([item, seen]) => {
        const who = model.get("roles").filter((_, k) => seen[k]);
        return `${item}: ${who.length ? who.join(", ") : "nobody"}`;
      }).join("; ")}. ${model.get("assumptions").join(" ")}`,
      table: () => ({
        columns: [{ name: "what" }, ...model.get("roles").map((name) => ({ name }))],
        rows: model.get("items").map(([item, seen], r) => [item, ...seen.map((one, k) => cellWords(one, r, k))]),
      }),
    });
  },
};
