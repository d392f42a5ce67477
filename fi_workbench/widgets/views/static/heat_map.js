import { attributes, html, svg, words } from "./dom.js";
import { mountView } from "./frame.js";
import { drawLegend, layOut, paintCells, paintColumns, paintRows } from "./heat_draw.js";
import { longForm, tableKind } from "./heat_words.js";
import { paints } from "./paint.js";
import { floats } from "./requests.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });
    const current = () => {
      const values = floats(model.get("values"));
      const shades = floats(model.get("shades"));
      const [rows, columns] = [model.get("rows"), model.get("columns")];
      return { rows, columns, values, shades: shades.length ? shades : values, kind: model.get("kind"), unit: model.get("unit"),
        rowColours: model.get("row_colours"), columnColours: model.get("column_colours"), marks: model.get("marks"),
        sides: model.get("scale") === "diverging", square: model.get("square"), selected: model.get("selected") };
    };
    const sentenceOf = (map, row, column) => {
      const cell = row * map.columns.length + column;
      return model.get("sentences")[cell] ?? model.get("sentence").replaceAll("{row}", map.rows[row])
        .replaceAll("{column}", map.columns[column]).replaceAll("{value}", longForm(map, map.values[cell]));
    };

    function build(holder, { id, ruler, root, signal, schedule }) {
      const paint = paints(picture, id);
      const parts = { columns: svg("g"), rows: svg("g"), cells: svg("g"), selected: svg("rect", { class: "fi-heat-selected" }),
        cursor: svg("rect", { class: "fi-heat-cursor" }), legend: svg("g"), hit: svg("rect", { class: "fi-heat-hit", "data-testid": "fi-heat-hit" }) };
      picture.append(...Object.values(parts));
      const readout = html("div", { class: "fi-heat-readout", "aria-live": "polite", "data-testid": "fi-readout" });
      holder.append(picture);
      holder.after(readout);
      holder.tabIndex = 0;
      let at = null;
      let map = current();
      let plan = null;

      const inside = (place) => place && place[0] < map.rows.length && place[1] < map.columns.length;
      function point(place) {
        if (String(place) === String(at)) return;
        at = place;
        schedule();
      }
      // The cell, or the name beside or above it (-1 for the other axis).
      function under(event) {
        const box = picture.getBoundingClientRect();
        const column = Math.floor((event.clientX - box.left - plan.left) / plan.cell);
        const row = Math.floor((event.clientY - box.top - plan.top) / plan.height);
        const known = [row >= 0 && row < map.rows.length, column >= 0 && column < map.columns.length];
        return known[0] || known[1] ? [known[0] ? row : -1, known[1] ? column : -1] : null;
      }
      const pick = (place) => { if (model.get("pick") && place) model.send({ pick: place }); };
      parts.hit.addEventListener("pointermove", (event) => {
        const place = under(event);
        point(place && place[0] >= 0 && place[1] >= 0 ? place : null);
      }, { signal });
      parts.hit.addEventListener("pointerleave", () => point(null), { signal });
      parts.hit.addEventListener("click", (event) => pick(under(event)), { signal });
      holder.addEventListener("blur", () => point(null), { signal });
      holder.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const step = STEPS[event.key];
        if (step) {
          const [row, column] = inside(at) ? at : [0, 0];
          const move = (place, by, n) => Math.min(Math.max(place + by, 0), n - 1);
          point(inside(at) ? [move(row, step[0], map.rows.length), move(column, step[1], map.columns.length)] : [0, 0]);
        } else if (event.key === "Enter" && inside(at)) {
          pick(at);
        } else if (event.key === "Escape" && at) {
          point(null);
        } else {
          return;
        }
        event.preventDefault();
        event.stopPropagation();
      }, { signal });

      return (width) => {
        map = current();
        plan = layOut(map, width, ruler);
        const shown = inside(at) ? at : null;
        paintColumns(parts.columns, map, plan, paint, ruler, shown);
        paintRows(parts.rows, map, plan, paint, ruler, shown);
        paintCells(parts.cells, map, plan, ruler);
        const place = ([row, column], nColumns) => ({ x: plan.left + column * plan.cell, y: plan.top + row * plan.height,
          width: plan.cell * nColumns, height: plan.height });
        attributes(parts.cursor, shown ? { ...place(shown, 1), visibility: null } : { visibility: "hidden" });
        attributes(parts.selected, map.selected >= 0 && map.selected < map.rows.length
          ? { ...place([map.selected, 0], map.columns.length), visibility: null } : { visibility: "hidden" });
        const marked = map.marks.some(Boolean) ? model.get("mark_word") : "";
        const bottom = drawLegend(parts.legend, { entries: model.get("legend"), marked, sides: map.sides }, plan, width, ruler);
        attributes(parts.hit, { width: plan.left + plan.cell * map.columns.length, height: plan.bottom });
        attributes(picture, { width, height: bottom });
        attributes(root, { "data-pick": model.get("pick") || null, "data-selected": map.rows[map.selected] ?? null });
        words(readout, shown ? `${sentenceOf(map, ...shown)}${map.marks[shown[0]] ? ` ${map.marks[shown[0]]}` : ""}` : model.get("hint"));
        attributes(readout, { "data-cell": shown ? shown.join(" ") : null });
      };
    }

    return mountView({ model, el }, {
      name: "heat-map",
      build,
      image: () => picture,
      isEmpty: () => !model.get("rows").length || !model.get("columns").length || !model.get("values").byteLength,
      note: () => model.get("note"),
      label: () => `${model.get("title")}. ${model.get("summary")} Arrow keys tell each cell${model.get("pick") ? `, Enter to ${model.get("pick")}` : ""}.`,
      table: () => {
        const map = current();
        const { kind, unit } = tableKind(map);
        const marked = map.marks.some(Boolean);
        return {
          columns: [{ name: "" }, ...map.columns.map((name) => ({ name, unit, kind })), ...(marked ? [{ name: model.get("mark_word") }] : [])],
          rows: map.rows.map((name, r) => [name, ...map.columns.map((_, c) => {
            const value = map.values[r * map.columns.length + c];
            return Number.isNaN(value) ? null : Number.isFinite(value) ? value : "infinite";
          }), ...(marked ? [map.marks[r] ? "yes" : "no"] : [])]),
          colours: map.rowColours,
        };
      },
    });
  },
};
