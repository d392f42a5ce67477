import { attributes, html, uniqueId, words } from "./dom.js";
import { canvasBlob, copyText, saveBlob, standaloneSvg } from "./export.js";
import { textRuler } from "./measure.js";
import { menu } from "./menu.js";
import { ask } from "./requests.js";
import { asCsv, asTsv, tableElement } from "./table.js";

// What every view is framed in: title, note, menu, the picture, its table, its states; and when it is drawn: at most
// once per animation frame, whatever arrives.
//
// `view` gives: name; build(picture, tools), which returns draw(width); and, where it is a picture, label() and table().
// Optional: note() beside the title, isEmpty(), image() for an <svg> or <canvas> to save, status() for data-status.

const GLIDE = 150; // ms, as in views.css

export function mountView({ model, el }, view) {
  const controller = new AbortController();
  const { signal } = controller;
  const root = html("div", { class: `fi-view fi-${view.name}`, "data-testid": `fi-${view.name}` });
  const title = html("span", { class: "fi-title" });
  const note = html("span", { class: "fi-note" });
  const head = html("div", { class: "fi-head" }, title, note);
  const picture = html("div", { class: "fi-picture", role: view.label ? "img" : null });
  const message = html("div", { class: "fi-message", "data-testid": "fi-message", hidden: "" });
  const shown = { table: false, width: 0 };
  const tools = { id: uniqueId(), ruler: textRuler(root), root, signal, schedule: later, ask: (kind) => ask(model, kind) };
  root.append(head, picture, message);
  el.append(root);

  const table = view.table && !view.isTable ? tableElement(model.get("title")) : null;
  const holder = table && html("div", { class: "fi-table-holder", tabindex: "0", hidden: "" }, table.node);
  if (holder) picture.after(holder);
  if (view.table) head.append(menu(menuEntries(), signal));
  const draw = view.build(picture, tools);
  for (const drawing of picture.querySelectorAll(":scope > :is(svg, canvas)")) attributes(drawing, { "aria-hidden": "true" });

  function menuEntries() {
    const file = (ending) => `${(model.get("title") || view.name).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-")}.${ending}`;
    const ground = () => getComputedStyle(root).getPropertyValue("--fi-ground").trim() || "white";
    const solid = () => {
      const probe = html("span", { style: "display: none; color: var(--fi-ground)" });
      root.append(probe);
      const colour = getComputedStyle(probe).color || ground();
      probe.remove();
      return colour;
    };
    const savePicture = async () => {
      const image = view.image();
      const isCanvas = image.localName === "canvas";
      const blob = isCanvas ? await canvasBlob(image, solid()) : new Blob([standaloneSvg(image, solid())], { type: "image/svg+xml" });
      saveBlob(blob, file(isCanvas ? "png" : "svg"));
    };
    return [
      ...(table ? [{ name: "table", label: () => (shown.table ? "Show picture" : "Show table"), run: () => { shown.table = !shown.table; paint(); } }] : []),
      { name: "copy", label: () => "Copy table", done: "Copied", run: () => copyText(asTsv(view.table())) },
      { name: "csv", label: () => "Save table (CSV)", done: "Saved", run: () => saveBlob(new Blob([asCsv(view.table())], { type: "text/csv" }), file("csv")) },
      ...(view.image ? [{ name: "save", label: () => "Save picture", done: "Saved", run: savePicture }] : []),
    ];
  }

  function showMessage(refusal) {
    const wayOut = model.get("way_out");
    const key = JSON.stringify([refusal, wayOut, model.get("empty_text")]);
    if (message.dataset.key === key) return;
    message.dataset.key = key;
    message.replaceChildren(html("span", {}, refusal || model.get("empty_text")));
    if (!refusal || !wayOut) return;
    const button = html("button", { type: "button", class: "fi-button", "data-testid": "fi-way-out" }, wayOut);
    button.addEventListener("click", () => ask(model, "way_out"), { signal });
    message.append(button);
  }

  function paint() {
    const refusal = model.get("refusal");
    const state = refusal ? "refused" : view.isEmpty?.() ? "empty" : "drawn";
    words(title, model.get("title"));
    words(note, state === "drawn" ? view.note?.() ?? "" : "");
    head.hidden = !model.get("title") && !view.table;
    attributes(picture, { hidden: state !== "drawn" || shown.table ? "" : null });
    attributes(message, { hidden: state === "drawn" ? "hidden" : null, class: `fi-message fi-message-${state}` });
    if (holder) attributes(holder, { hidden: state === "drawn" && shown.table ? null : "" });
    if (state !== "drawn") {
      showMessage(refusal);
    } else if (shown.table) {
      table.show(view.table());
    } else if (shown.width > 0) {
      draw(shown.width);
      if (view.label) attributes(picture, { "aria-label": view.label() });
    }
    attributes(root, { "data-round": model.get("round"), "data-status": view.status?.() ?? state });
  }

  // The first change after a frame is drawn at once; those that come before the next frame are drawn with it, as one.
  // Where the page cannot keep up, or is hidden, frames come late and draws become fewer by themselves.
  let frame = 0;
  let dirty = false;
  let changed = 0;
  function nextFrame() {
    frame = 0;
    if (dirty) schedule();
  }
  function schedule() {
    dirty = frame !== 0;
    if (dirty) return;
    paint();
    frame = requestAnimationFrame(nextFrame);
  }
  // Values that come faster than bars glide move by themselves; gliding would only show them late.
  function change() {
    const now = performance.now();
    attributes(root, { "data-fast": now - changed < GLIDE ? "true" : null });
    changed = now;
    schedule();
  }
  function later() {
    dirty = true;
    frame ||= requestAnimationFrame(nextFrame);
  }
  const resized = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === shown.width) return;
    shown.width = width;
    later();
  });
  resized.observe(root);
  model.on("change", change);
  paint();

  return () => {
    controller.abort();
    cancelAnimationFrame(frame);
    resized.disconnect();
    model.off("change", change);
    root.remove();
  };
}

// Calls back when the page's theme has changed; for canvases, which do not follow it by themselves.
export function onThemeChange(callback, signal) {
  const observer = new MutationObserver(() => {
    callback();
    setTimeout(() => signal.aborted || callback(), 300); // the theme's stylesheet may arrive after its name
  });
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  signal.addEventListener("abort", () => observer.disconnect());
}
