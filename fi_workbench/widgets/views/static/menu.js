import { attributes, html, words } from "./dom.js";

// The small menu at a picture's corner: table, copy, save. Its keys are its own, not the notebook's.

export function menu(entries, signal) {
  const button = html("button", { type: "button", class: "fi-menu-button", title: "Table, copy, save",
    "aria-label": "Table, copy and save", "aria-haspopup": "menu", "aria-expanded": "false", "data-testid": "fi-menu" }, "\u22ef");
  const list = html("div", { class: "fi-menu-list", role: "menu", hidden: "" });
  const said = html("span", { class: "fi-hidden-text", "aria-live": "polite" });
  const node = html("div", { class: "fi-menu", "data-lm-suppress-shortcuts": "true" }, button, list, said);
  const items = entries.map(({ name, run, done, label }) => {
    const item = html("button", { type: "button", role: "menuitem", tabindex: "-1", "data-testid": `fi-menu-${name}` });
    item.addEventListener("click", async () => {
      await run();
      words(said, done ?? "");
      close(true);
    }, { signal });
    list.append(item);
    return { item, label };
  });

  const outside = (event) => { if (!node.contains(event.target)) close(false); };
  function close(refocus) {
    attributes(list, { hidden: "" });
    attributes(button, { "aria-expanded": "false" });
    document.removeEventListener("pointerdown", outside, true);
    if (refocus) button.focus({ preventScroll: true });
  }
  function open() {
    items.forEach(({ item, label }) => words(item, label()));
    list.hidden = false;
    attributes(button, { "aria-expanded": "true" });
    document.addEventListener("pointerdown", outside, { capture: true, signal });
    items[0].item.focus({ preventScroll: true });
  }
  button.addEventListener("click", () => (list.hidden ? open() : close(true)), { signal });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (list.hidden || (!step && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") return close(true);
    const now = items.findIndex(({ item }) => item === document.activeElement);
    items[(now + step + items.length) % items.length].item.focus();
  }, { signal });
  node.addEventListener("focusout", (event) => {
    if (!list.hidden && event.relatedTarget && !node.contains(event.relatedTarget)) close(false);
  }, { signal });
  return node;
}
