import { mountView } from "./frame.js";
import { tableElement } from "./table.js";

export default {
  render({ model, el }) {
    const current = () => ({ columns: model.get("columns"), rows: model.get("rows"), colours: model.get("colours"), faults: model.get("faults") });
    return mountView({ model, el }, {
      name: "table-view",
      isTable: true,
      build(holder) {
        const table = tableElement(model.get("title") || "Table");
        holder.classList.add("fi-table-holder");
        holder.tabIndex = 0;
        holder.append(table.node);
        return () => table.show(current());
      },
      isEmpty: () => model.get("rows").length === 0,
      table: current,
    });
  },
};
