import { html } from "./dom.js";
import { mountView } from "./frame.js";

export default {
  render({ model, el }) {
    return mountView({ model, el }, {
      name: "log-lines",
      isTable: true,
      build(holder) {
        const list = html("div", { class: "fi-log", role: "log", "aria-live": "polite", tabindex: "0" });
        holder.append(list);
        let first = 0;
        let follows = true;
        list.addEventListener("scroll", () => { follows = list.scrollHeight - list.scrollTop - list.clientHeight < 24; });
        return () => {
          const start = model.get("first");
          const lines = model.get("lines");
          for (; first < start && list.firstChild; first += 1) list.firstChild.remove();
          first = start;
          while (list.childElementCount > lines.length) list.lastChild.remove();
          lines.slice(list.childElementCount).forEach(([time, level, text]) => {
            const word = level === "info" ? [] : [html("span", { class: "fi-level" }, level)];
            list.append(html("div", { class: "fi-line", "data-level": level }, html("span", { class: "fi-time" }, time), html("span", { class: "fi-text" }, ...word, text)));
          });
          if (follows) list.scrollTop = list.scrollHeight;
        };
      },
      isEmpty: () => model.get("lines").length === 0,
      table: () => ({ columns: [{ name: "time" }, { name: "level" }, { name: "text" }], rows: model.get("lines") }),
    });
  },
};
