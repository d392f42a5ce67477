import { attributes } from "./dom.js";
import { mountView } from "./frame.js";
import { tableElement } from "./table.js";

const LINES = { ArrowUp: -1, ArrowDown: 1 };

export default {
  render({ model, el }) {
    const current = () => ({ columns: model.get("columns"), rows: model.get("rows"), colours: model.get("colours"), faults: model.get("faults") });
    return mountView({ model, el }, {
      name: "choice-table",
      isTable: true,
      build(holder, { signal, schedule }) {
        const table = tableElement(model.get("title") || "Table");
        const body = table.node.tBodies[0];
        holder.classList.add("fi-table-holder", "fi-choice-holder");
        holder.tabIndex = 0;
        holder.append(table.node);
        let at = -1;
        const pick = (row) => { if (row >= 0 && row < model.get("rows").length && !model.get("faults")[row]) model.send({ pick: row }); };
        body.addEventListener("click", (event) => {
          if (document.getSelection()?.toString()) return; // somebody copies a cell
          pick([...body.rows].indexOf(event.target.closest("tr")));
        }, { signal });
        holder.addEventListener("blur", () => { at = -1; schedule(); }, { signal });
        holder.addEventListener("keydown", (event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return;
          const n = model.get("rows").length;
          if (LINES[event.key]) {
            at = at < 0 ? (LINES[event.key] > 0 ? 0 : n - 1) : Math.min(Math.max(at + LINES[event.key], 0), n - 1);
            body.rows[at]?.scrollIntoView({ block: "nearest" });
            schedule();
          } else if (event.key === "Enter" && at >= 0) {
            pick(at);
          } else if (event.key === "Escape" && at >= 0) {
            at = -1;
            schedule();
          } else {
            return;
          }
          event.preventDefault();
          event.stopPropagation();
        }, { signal });
        return () => {
          const shown = current();
          table.show(shown);
          [...body.rows].forEach((line, row) => {
            const fault = shown.faults[row] ?? "";
            attributes(line, { "data-choosable": fault ? null : "true", "data-current": row === at ? "true" : null,
              "data-selected": row === model.get("selected") ? "true" : null, "aria-current": row === model.get("selected") ? "true" : null,
              title: fault || `Enter or a click: ${model.get("pick")}` });
          });
        };
      },
      isEmpty: () => model.get("rows").length === 0,
      table: current,
    });
  },
};
