import { attributes, html, words } from "./dom.js";
import { copyText } from "./export.js";

const COPIED_MS = 2000;

export default {
  render({ model, el }) {
    const field = html("textarea", { class: "fi-copy-text", readonly: "", spellcheck: "false", "data-testid": "fi-copy-text" });
    const button = html("button", { type: "button", class: "jupyter-button widget-button fi-copy-button", "data-testid": "fi-copy" });
    const said = html("span", { class: "fi-copy-said", role: "status" });
    el.classList.add("fi-copy");
    el.append(field, button, said);
    let timer = 0;
    const draw = () => {
      const text = model.get("text");
      const label = model.get("label");
      const shown = model.get("shown") || text;
      if (field.value !== shown) field.value = shown;
      attributes(field, { rows: shown.split("\n").length, "aria-label": label, title: text });
      attributes(button, { title: `Copy the ${label}`, "aria-label": `Copy the ${label}` });
      words(button, "Copy");
      words(said, "");
      attributes(el, { hidden: text ? null : "" });
    };
    field.addEventListener("focus", () => field.select());
    button.addEventListener("click", async () => {
      await copyText(model.get("text"));
      button.focus({ preventScroll: true });
      words(said, "Copied");
      clearTimeout(timer);
      timer = setTimeout(() => words(said, ""), COPIED_MS);
    });
    model.on("change", draw);
    draw();
    return () => {
      clearTimeout(timer);
      model.off("change", draw);
    };
  },
};
