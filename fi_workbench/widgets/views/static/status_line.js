import { attributes, html, words } from "./dom.js";
import { count, mark, number, percent } from "./format.js";
import { mountView } from "./frame.js";

const SAID = { spent: "budget spent", lost: "link lost" };
const GONE = "The kernel was restarted or has ended: this is its last picture. Run the cell again to go on.";

export default {
  render({ model, el }) {
    const parts = {
      dot: html("span", { class: "fi-dot", "aria-hidden": "true" }),
      word: html("span", { class: "fi-status-name", "aria-live": "polite", "data-testid": "fi-status" }),
      sentence: html("span", { class: "fi-sentence", "data-testid": "fi-sentence" }),
      round: html("span", { class: "fi-round" }),
      rate: html("span", { class: "fi-rate" }),
      task: html("span", { class: "fi-task" }),
      bar: html("div", { class: "fi-progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, html("div", { class: "fi-progress-done" })),
    };
    let gone = false;
    const status = () => (gone ? "lost" : model.get("status"));
    return mountView({ model, el }, {
      name: "status-line",
      build(holder, { root, schedule, signal }) {
        // ipywidgets tells it when the kernel leaves its models behind.
        const lose = () => {
          gone = true;
          root.closest(".fi-workbench")?.classList.add("fi-lost");
          schedule();
        };
        model.on("comm_live_update", lose);
        signal.addEventListener("abort", () => model.off("comm_live_update", lose));
        holder.append(html("div", { class: "fi-status-row" },
          html("span", { class: "fi-status-badge" }, parts.dot, parts.word), parts.sentence),
          html("div", { class: "fi-counters" }, parts.round, parts.rate, parts.task), parts.bar);
        return () => {
          const [share, task] = gone ? [null, ""] : ["progress", "task"].map((name) => model.get(name));
          words(parts.word, SAID[status()] ?? status());
          words(parts.sentence, gone ? GONE : model.get("sentence"));
          words(parts.round, model.get("round") ? `round ${count(model.get("round"))}` : "");
          words(parts.rate, gone || model.get("rate") === null ? "" : `${number(model.get("rate"))} rounds/s`);
          const unknown = Boolean(task) && share === null;
          attributes(parts.task, { title: task || null });
          words(parts.task, task && share !== null ? `${task} \u00b7 ${mark(percent(share))} %` : task);
          attributes(parts.task, { hidden: task ? null : "" });
          attributes(parts.bar, { class: `fi-progress${unknown ? " fi-progress-unknown" : ""}${task || share !== null ? "" : " fi-progress-idle"}`,
            "aria-valuenow": share === null ? null : Math.round(100 * share), "aria-hidden": task || share !== null ? null : "true" });
          attributes(parts.bar.firstChild, { style: `width: ${unknown ? 30 : 100 * (share ?? 0)}%` });
        };
      },
      status,
    });
  },
};
