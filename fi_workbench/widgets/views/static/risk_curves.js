import { attributes, html, keep, svg, words } from "./dom.js";
import { mark, number, percent, ticks } from "./format.js";
import { mountView } from "./frame.js";
import { floats } from "./requests.js";
import { markNode, ruleColour, ruleDash, ruleMark, rulesOf } from "./rules_paint.js";

const [LOWEST, HIGHEST] = [280, 460]; // px: as high as the names at the right take
const TOP = 10;
const BOTTOM = 38;
const LABEL = 14;
const NEAR = 40; // px: farther from every line, nothing is read out
const FEW = 12; // steps: so few are drawn as points of their own
const SURE = 0.05; // risks at smaller coverages than this are of a handful of queries; they do not set the scale

// Labels at least a line apart, as near to their line's end as that allows.
function apart(labels, low, high) {
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((label, k) => { label.at = Math.max(label.y, k ? labels[k - 1].at + LABEL : low); });
  let limit = high;
  for (const label of labels.toReversed()) {
    label.at = Math.min(label.at, limit);
    limit = label.at - LABEL;
  }
  return labels;
}

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });

    function all() {
      const n = model.get("n_steps");
      const values = floats(model.get("steps"));
      return rulesOf(model).map((one) => {
        const row = (axis) => values.subarray((3 * one.place + axis) * n, (3 * one.place + axis + 1) * n);
        const [confidence, coverage, risk] = [0, 1, 2].map(row);
        const points = Array.from({ length: n }, (_, k) => ({ confidence: confidence[k], coverage: coverage[k], risk: risk[k] }))
          .filter(({ risk: value }) => Number.isFinite(value));
        const at = { coverage: model.get("mark_coverages")[one.place] ?? null, risk: model.get("mark_risks")[one.place] ?? null };
        return { ...one, points, at, aurc: model.get("aurcs")[one.place] ?? null };
      });
    }

    function build(holder, { id, ruler, schedule, signal }) {
      const readout = html("div", { class: "fi-readout", hidden: "", "data-testid": "fi-readout" });
      const clip = svg("rect");
      const plot = svg("rect", { class: "fi-plot" });
      const [axis, curves, marks, labels] = [svg("g"), svg("g", { "clip-path": `url(#${id}-plot)` }), svg("g"), svg("g")];
      const names = [0, 1].map(() => svg("text", { class: "fi-head-text fi-axis-name" }));
      const here = svg("circle", { class: "fi-rule-mark", r: 4, "pointer-events": "none" }); // it lies under the pointer
      picture.append(svg("defs", {}, svg("clipPath", { id: `${id}-plot` }, clip)), axis, curves, ...names, marks, labels, plot, here);
      holder.append(picture, readout);
      let pointer = null;
      let nearest = null;
      plot.addEventListener("pointermove", (event) => {
        const box = picture.getBoundingClientRect();
        pointer = [event.clientX - box.left, event.clientY - box.top];
        schedule();
      }, { signal });
      plot.addEventListener("pointerleave", () => { pointer = null; schedule(); }, { signal });
      plot.addEventListener("click", () => { if (nearest) model.send({ request: "pick", confidence: nearest.point.confidence }); }, { signal });

      return (width) => {
        const everything = all();
        const risks = everything.flatMap(({ points }) => points.filter(({ coverage }) => coverage >= SURE).map(({ risk }) => risk));
        const most = Math.max(...risks, 0.01);
        const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((one) => most / one <= 6) ?? 0.2;
        const high = Math.min(Math.ceil(most / step - 1e-6) * step, 1);
        const risen = ticks(0, high, 6);
        const left = Math.ceil(ruler.widest(risen.map((value) => `${mark(percent(value))} %`))) + 10;
        const right = Math.min(Math.ceil(ruler.widest(everything.map(({ name }) => name))) + 30, Math.floor(width * 0.36));
        const height = Math.min(Math.max(TOP + BOTTOM + LABEL * everything.length, LOWEST), HIGHEST);
        const [floor, room] = [height - BOTTOM, Math.max(width - left - right, 20)];
        const x = (coverage) => left + coverage * room;
        const y = (risk) => floor - (risk / high) * (floor - TOP);
        attributes(clip, { x: left - 2, y: TOP - 4, width: room + 4, height: floor - TOP + 6 });
        attributes(plot, { x: left, y: TOP, width: room, height: floor - TOP });

        const across = ticks(0, 1, room / 70);
        const lines = [...risen.map((value, k) => ({ x1: left, x2: left + room, y1: y(value), y2: y(value), base: k === 0, at: [left - 6, y(value)],
          anchor: "end", text: `${mark(percent(value))}${k === risen.length - 1 ? " %" : ""}` })),
        ...across.map((value, k) => ({ x1: x(value), x2: x(value), y1: TOP, y2: floor, base: k === 0, at: [x(value), floor + 10], anchor: "middle",
          text: `${mark(percent(value))}${k === across.length - 1 ? " %" : ""}` }))];
        keep(axis, lines.length, () => svg("g", {}, svg("line"), svg("text", { class: "fi-head-text" }))).forEach((node, k) => {
          const line = lines[k];
          attributes(node.firstChild, { x1: line.x1, x2: line.x2, y1: line.y1, y2: line.y2, class: line.base ? "fi-axis" : "fi-grid-line" });
          words(node.lastChild, line.text);
          attributes(node.lastChild, { x: line.at[0], y: line.at[1], "text-anchor": line.anchor });
        });
        attributes(names[0], { x: left + room / 2, y: floor + 28, "text-anchor": "middle" });
        words(names[0], ruler.fit("coverage: share of the queries that are answered", room));
        attributes(names[1], { x: left + 6, y: TOP + 5 });
        words(names[1], ruler.fit("risk: share of the answered that are wrong", room - 12));

        // What the pointer is nearest to.
        nearest = null;
        if (pointer) {
          for (const one of everything) {
            for (const point of one.points) {
              const distance = Math.hypot(x(point.coverage) - pointer[0], y(Math.min(point.risk, high)) - pointer[1]);
              if (distance < (nearest?.distance ?? NEAR)) nearest = { one, point, distance };
            }
          }
        }
        const dimmed = (one) => (nearest && nearest.one.place !== one.place ? " fi-dimmed" : "");

        keep(curves, everything.length, () => svg("g", { "data-testid": "fi-curve" }, svg("path", { class: "fi-rule-curve" }), svg("g"))).forEach((node, k) => {
          const one = everything[k];
          const path = one.points.map(({ coverage, risk }, p) => `${p ? "L" : "M"}${x(coverage).toFixed(1)} ${y(risk).toFixed(1)}`).join("");
          attributes(node, { class: dimmed(one).trim() || null, "data-rule": one.name, "data-steps": one.points.length });
          attributes(node.firstChild, { d: path || null, "data-kind": one.kind, "stroke-dasharray": ruleDash(one), style: `stroke: ${ruleColour(one)}` });
          const few = one.points.length <= FEW ? one.points : [];
          keep(node.lastChild, few.length, markNode).forEach((dot, p) => {
            ruleMark(dot, one, 2.5);
            attributes(dot, { transform: `translate(${x(few[p].coverage).toFixed(1)} ${y(few[p].risk).toFixed(1)})` });
          });
        });
        const marked = everything.filter(({ at, kind }) => kind === "rule" && at.coverage !== null && at.risk !== null);
        keep(marks, marked.length, () => svg("g", { "data-testid": "fi-threshold-mark" }, svg("title"), markNode())).forEach((node, k) => {
          const one = marked[k];
          ruleMark(node.lastChild, one, 5);
          attributes(node, { transform: `translate(${x(one.at.coverage).toFixed(1)} ${y(Math.min(one.at.risk, high)).toFixed(1)})`, class: dimmed(one).trim() || null,
            "data-rule": one.name });
          words(node.firstChild, `${one.name} at confidence ${number(model.get("threshold"))}`);
        });
        const ended = apart(everything.filter(({ points }) => points.length).slice(0, Math.floor((floor - TOP) / LABEL) + 1)
          .map((one) => ({ one, y: y(Math.min(one.points.at(-1).risk, high)) })), TOP, floor);
        keep(labels, ended.length, () => svg("g", {}, svg("line", { class: "fi-leader" }), svg("text", { class: "fi-curve-label" }))).forEach((node, k) => {
          const { one, y: end, at } = ended[k];
          attributes(node, { class: dimmed(one).trim() || null });
          attributes(node.firstChild, { x1: left + room + 3, x2: left + room + 14, y1: end, y2: at, style: `stroke: ${ruleColour(one)}` });
          words(node.lastChild, ruler.fit(one.name, right - 20));
          attributes(node.lastChild, { x: left + room + 18, y: at });
        });

        attributes(readout, { hidden: nearest ? null : "" });
        attributes(here, { visibility: nearest ? null : "hidden" });
        if (nearest) {
          const { one, point } = nearest;
          words(readout, `${one.name}\nconfidence from ${number(point.confidence)}\ncoverage ${percent(point.coverage)} %\nrisk ${percent(point.risk)} %`);
          const at = x(point.coverage);
          attributes(readout, { style: at > width / 2 ? `right: ${width - at + 12}px` : `left: ${at + 12}px` });
          attributes(here, { cx: at, cy: y(Math.min(point.risk, high)), style: `fill: var(--fi-ground); stroke: ${ruleColour(one)}` });
        }
        attributes(picture, { width, height });
      };
    }

    return mountView({ model, el }, {
      name: "risk-curves",
      build,
      image: () => picture,
      isEmpty: () => model.get("n_steps") === 0 || model.get("names").length === 0,
      note: () => (model.get("threshold") === null ? "" : `marks: confidence from ${number(model.get("threshold"))}; press a line to choose another`),
      label: () => `${model.get("title")}: ${all().map((one) => `${one.name}${one.kind === "rule" ? "" : " (bound)"} area ${number(one.aurc)}`
        + (one.at.coverage === null ? "" : `, at the threshold ${percent(one.at.coverage)} % answered, ${percent(one.at.risk)} % of them wrong`)).join("; ")}`,
      table: () => ({
        columns: [{ name: "rule" }, { name: "step", kind: "count" }, { name: "confidence from", kind: "number" },
          { name: "coverage", unit: "%", kind: "percent" }, { name: "risk", unit: "%", kind: "percent" }],
        rows: all().flatMap((one) => one.points.map((point, k) => [one.name, k + 1, point.confidence, point.coverage, point.risk])),
      }),
    });
  },
};
