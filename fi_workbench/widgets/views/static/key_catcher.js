import { attributes, html } from "./dom.js";
import { ask } from "./requests.js";

// Keys and folds of the whole workbench: works on the nearest element with the class fi-workbench around it.

const KEYS = { r: "run_pause", s: "stop", arrowleft: "previous", arrowright: "next", d: "next_disagreement" };
const HELP = [["R", "run or pause"], ["S", "stop"], ["\u2190 \u2192", "previous, next query"], ["D", "next disagreement"],
  ["?", "this help"], ["Esc", "close it"]];

// Where keys already mean something else.
const TYPED = "input:not([type=checkbox], [type=radio], [type=button]), select, textarea, [contenteditable=true], [role=slider], .noUi-handle";
const STEPPED = "[role=tab], [role=tablist], [role=menu], [role=menuitem], [role=radio], input[type=radio], .fi-table-holder, .fi-log";

function helpPanel(close, signal) {
  const button = html("button", { type: "button", class: "fi-button" }, "Close");
  button.addEventListener("click", close, { signal });
  const keys = HELP.flatMap(([key, what]) => [html("dt", {}, html("kbd", {}, key)), html("dd", {}, what)]);
  return html("div", { class: "fi-help", role: "dialog", "aria-label": "Keys", tabindex: "-1", "data-testid": "fi-help", hidden: "" },
    html("div", { class: "fi-help-card" }, html("div", { class: "fi-title" }, "Keys"), html("dl", {}, ...keys), button));
}

function listen(root, model, signal) {
  let before = null;
  const help = helpPanel(() => toggle(false), signal);
  root.append(help);
  function toggle(open) {
    if (open === !help.hidden) return;
    if (open) before = document.activeElement;
    attributes(help, { hidden: open ? null : "" });
    (open ? help : before ?? root).focus({ preventScroll: true });
  }
  function pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPED)) return;
    const key = event.key.toLowerCase();
    if (key === "?" || (key === "escape" && !help.hidden)) {
      toggle(key === "?" && help.hidden);
    } else if (KEYS[key] && !(key.startsWith("arrow") && event.target.closest(STEPPED))) {
      if (event.repeat && !key.startsWith("arrow")) return;
      ask(model, KEYS[key]);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
  root.addEventListener("keydown", pressed, { signal });
  // JupyterLab looks at the focused element before those around it: the mark on the root alone keeps its keys only from
  // the root, and D D over a slider or a list would delete the cell.
  let inside = false;
  document.addEventListener("focusin", ({ target }) => {
    inside = root.contains(target);
    if (inside && target !== root) attributes(target, { "data-lm-suppress-shortcuts": "true" });
  }, { signal });
  document.addEventListener("pointerdown", ({ target }) => { inside &&= root.contains(target); }, { signal });
  // A button that is disabled or closed under the focus leaves it on the page's body: the keys go on working.
  document.addEventListener("keydown", (event) => {
    if (!inside || document.activeElement !== document.body || !root.isConnected) return;
    root.focus({ preventScroll: true });
    pressed(event);
  }, { signal, capture: true });
  // Heads of sections fold what is beneath them; no kernel is needed for it.
  const heads = () => root.querySelectorAll(".fi-section > .fi-section-head");
  const tell = (head) => attributes(head, { "aria-expanded": head.parentElement.classList.contains("fi-folded") ? "false" : "true" });
  root.addEventListener("click", (event) => {
    const head = event.target.closest(".fi-section-head");
    if (!head) return;
    head.parentElement.classList.toggle("fi-folded");
    tell(head);
  }, { signal });
  root.addEventListener("focusin", () => heads().forEach(tell), { signal });
  signal.addEventListener("abort", () => help.remove());
}

export default {
  render({ model, el }) {
    const controller = new AbortController();
    const { signal } = controller;
    attributes(el, { "data-testid": "fi-keys" });
    el.classList.add("fi-keys");
    let waiting = 0;
    // The box around it may come into the page after it.
    function find() {
      const root = el.closest(".fi-workbench");
      if (!root || !root.isConnected) {
        waiting = setTimeout(find, 50);
        return;
      }
      attributes(root, { "data-lm-suppress-shortcuts": "true", tabindex: "0", role: "group", "data-testid": "fi-workbench",
        "aria-label": root.getAttribute("aria-label") ?? "Federated inference workbench; press ? for keys" });
      listen(root, model, signal);
      attributes(el, { "data-status": "listening" });
      signal.addEventListener("abort", () => attributes(root, { "data-lm-suppress-shortcuts": null, tabindex: null }));
    }
    find();
    return () => {
      clearTimeout(waiting);
      controller.abort();
    };
  },
};
