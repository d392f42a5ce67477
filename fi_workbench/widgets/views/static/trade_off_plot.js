import { attributes, html, keep, svg, words } from "./dom.js";
import { mark, number, percent } from "./format.js";
import { mountView } from "./frame.js";
import { rulesOf } from "./rules_paint.js";
import { accuracyScale, layOutTrade, radiusOf, TRADE_FOOT, TRADE_HEAD } from "./trade_off_scale.js";

const HEIGHT = 340; // px of the plot itself
const NEAR = 18; // px around a mark
const LINE = 18;
const STEPS_ALONG = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
// Around (0, 0), with about the area of a circle of radius 1.
const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  (r) => `M${-0.89 * r} ${-0.89 * r}H${0.89 * r}V${0.89 * r}H${-0.89 * r}Z`,
  (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
  (r) => `M0 ${-1.35 * r}L${1.25 * r} ${0.85 * r}H${-1.25 * r}Z`,
  (r) => `M0 ${1.35 * r}L${1.25 * r} ${-0.85 * r}H${-1.25 * r}Z`,
  (r) => `M${-1.3 * r} ${-0.45 * r}H${-0.45 * r}V${-1.3 * r}H${0.45 * r}V${-0.45 * r}H${1.3 * r}V${0.45 * r}H${0.45 * r}V${1.3 * r}H${-0.45 * r}V${0.45 * r}H${-1.3 * r}Z`,
  (r) => `M${-1.15 * r} 0L${-0.57 * r} ${r}H${0.57 * r}L${1.15 * r} 0L${0.57 * r} ${-r}H${-0.57 * r}Z`,
  (r) => `M0 ${-0.5 * r}L${0.75 * r} ${-1.2 * r}L${1.2 * r} ${-0.75 * r}L${0.5 * r} 0L${1.2 * r} ${0.75 * r}L${0.75 * r} ${1.2 * r}L0 ${0.5 * r}L${-0.75 * r} ${1.2 * r}L${-1.2 * r} ${0.75 * r}L${-0.5 * r} 0L${-1.2 * r} ${-0.75 * r}L${-0.75 * r} ${-1.2 * r}Z`,
];
const shapeOf = (place, r) => SHAPES[place % SHAPES.length](r);
const tone = (colour) => `var(--fi-rule-${colour % 8})`;

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });
    const all = () => {
      const rules = rulesOf(model);
      const at = (name, k) => model.get(name)[k] ?? null;
      return model.get("rules").map((rule, k) => ({ place: model.get("places")[k], mechanism: model.get("mechanisms")[k], rule, index: k,
        name: rules[rule].name, colour: rules[rule].colour, epsilon: at("epsilons", k), accuracy: at("accuracies", k), low: at("lows", k),
        high: at("highs", k), size: at("sizes", k), hollow: at("open_marks", k) === 1, said: model.get("sentences")[k] ?? "" }));
    };
    const sized = (value) => `${number(value)} ${model.get("size_unit")}`;

    function build(holder, { ruler, root, signal, schedule }) {
      const [axis, slots, lines, whiskers, marks] = [svg("g"), svg("g"), svg("g"), svg("g"), svg("g")];
      const [cursor, names, legend] = [svg("circle", { class: "fi-trade-cursor" }), svg("g"), svg("g")];
      const hit = svg("rect", { class: "fi-trade-hit", "data-testid": "fi-trade-hit" });
      picture.append(axis, slots, lines, whiskers, marks, cursor, names, legend, hit);
      const readout = html("div", { class: "fi-trade-readout", "aria-live": "polite", "data-testid": "fi-readout" });
      holder.append(picture);
      holder.after(readout);
      holder.tabIndex = 0;
      let order = []; // from left to right, then upwards
      let at = null;

      const point = (index) => { if (index !== at) { at = index; schedule(); } };
      const pick = (index) => { if (model.get("pick") && index !== null) model.send({ pick: index }); };
      function under(event) {
        const box = picture.getBoundingClientRect();
        const [x, y] = [event.clientX - box.left, event.clientY - box.top];
        const near = order.map((one) => ({ index: one.index, away: Math.hypot(one.x - x, one.y - y) - one.r })).filter(({ away }) => away < NEAR);
        return near.length ? near.reduce((best, one) => (one.away < best.away ? one : best)).index : null;
      }
      hit.addEventListener("pointermove", (event) => point(under(event)), { signal });
      hit.addEventListener("pointerleave", () => point(null), { signal });
      hit.addEventListener("click", (event) => pick(under(event)), { signal });
      holder.addEventListener("blur", () => point(null), { signal });
      holder.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !order.length) return;
        const now = order.findIndex(({ index }) => index === at);
        if (STEPS_ALONG[event.key]) point(order[now < 0 ? 0 : (now + STEPS_ALONG[event.key] + order.length) % order.length].index);
        else if (event.key === "Enter" && now >= 0) pick(at);
        else if (event.key === "Escape" && now >= 0) point(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
      }, { signal });

      return (width) => {
        const everything = all();
        const left = 44;
        const [top, floor] = [TRADE_HEAD, TRADE_HEAD + HEIGHT];
        const plan = layOutTrade(everything, model.get("names").length, width, left);
        const { y, marks: across } = accuracyScale(plan.drawn, top, floor);
        const radius = radiusOf(everything.map(({ size }) => size));
        const shapes = [...new Set(plan.drawn.filter(({ place }) => place === "epsilon").map(({ mechanism }) => mechanism))];
        order = plan.drawn.map((one) => ({ ...one, x: plan.x(one), y: y(one.accuracy), r: radius(one.size),
          shape: one.place === "epsilon" ? shapes.indexOf(one.mechanism) : 0 })).sort((a, b) => a.x - b.x || b.y - a.y);
        const shown = order.find(({ index }) => index === at) ?? null;

        const grid = [...across.map((value, k) => ({ x1: left, x2: width - 8, y1: y(value), y2: y(value), base: k === 0, tx: left - 6, ty: y(value), anchor: "end",
          text: `${mark(percent(value))}${k === across.length - 1 ? " %" : ""}` })),
        ...plan.marksX.map(([value, x]) => ({ x1: x, x2: x, y1: top, y2: floor, tx: x, ty: floor + 10, anchor: "middle", text: mark(number(value)) }))];
        keep(axis, grid.length, () => svg("g", {}, svg("line"), svg("text", { class: "fi-head-text" }))).forEach((node, k) => {
          const { x1, x2, y1, y2, base, tx, ty, anchor, text } = grid[k];
          attributes(node.firstChild, { x1, x2, y1, y2, class: base ? "fi-axis" : "fi-grid-line" });
          attributes(words(node.lastChild, text), { x: tx, y: ty, "text-anchor": anchor });
        });
        const columns = plan.groups.flatMap((group) => group.slots);
        keep(slots, columns.length, () => svg("g", { "data-testid": "fi-trade-slot" }, svg("rect", { class: "fi-trade-slot" }), svg("g"))).forEach((node, k) => {
          const { from, mechanism } = columns[k];
          attributes(node, { "data-mechanism": mechanism });
          attributes(node.firstChild, { x: from + 2, y: top, width: plan.slot - 4, height: floor - top });
          const parts = mechanism.replaceAll("-", "- ").split(" ");
          const room = Math.max(plan.slot - 6, ...parts.map((part) => ruler.width(part)).filter((wide) => wide <= plan.slot + 6));
          const broken = ruler.wrap(ruler.width(mechanism) > room ? parts.join(" ") : mechanism, room).slice(0, 3);
          keep(node.lastChild, broken.length, () => svg("text", { class: "fi-head-text", "text-anchor": "middle" }))
            .forEach((text, n) => attributes(words(text, broken[n]), { x: from + plan.slot / 2, y: floor + 10 + 13 * n }));
        });
        const heads = [{ text: "accuracy", x: 2, y: 8, anchor: "start" },
          ...(plan.room ? [{ text: ruler.fit(model.get("x_name"), plan.room), x: left + plan.room / 2, y: floor + 30, anchor: "middle" }] : []),
          ...plan.groups.map(({ text, from, to }) => ({ text, x: Math.min((from + to) / 2, width - 4 - ruler.width(text) / 2), y: 12, anchor: "middle" }))];
        keep(names, heads.length, () => svg("text", { class: "fi-head-text" }))
          .forEach((text, k) => attributes(words(text, heads[k].text), { x: heads[k].x, y: heads[k].y, "text-anchor": heads[k].anchor }));

        const dimmed = (one) => (shown && shown.rule !== one.rule ? "true" : null);
        const runs = new Map();
        order.filter(({ place }) => place === "epsilon").forEach((one) => {
          const key = `${one.rule} ${one.mechanism}`;
          runs.set(key, [...(runs.get(key) ?? []), one]);
        });
        const joined = [...runs.values()].filter((run) => run.length > 1);
        keep(lines, joined.length, () => svg("path", { class: "fi-trade-line" })).forEach((path, k) => attributes(path, {
          d: joined[k].map(({ x, y: height }, n) => `${n ? "L" : "M"}${x.toFixed(1)} ${height.toFixed(1)}`).join(""),
          style: `stroke: ${tone(joined[k][0].colour)}`, "data-dimmed": dimmed(joined[k][0]) }));
        keep(whiskers, order.length, () => svg("line", { class: "fi-trade-whisker" })).forEach((line, k) => {
          const one = order[k];
          attributes(line, { x1: one.x, x2: one.x, y1: y(one.low ?? one.accuracy), y2: y(one.high ?? one.accuracy), style: `stroke: ${tone(one.colour)}`,
            "data-strong": one === shown ? "true" : null, "data-dimmed": dimmed(one) });
        });
        keep(marks, order.length, () => svg("path", { class: "fi-trade-mark", "data-testid": "fi-trade-mark" })).forEach((node, k) => {
          const one = order[k];
          attributes(node, { d: shapeOf(one.shape, one.r), transform: `translate(${one.x.toFixed(1)} ${one.y.toFixed(1)})`,
            style: `fill: ${tone(one.colour)}; stroke: ${one.index === model.get("selected") ? "var(--fi-text)" : tone(one.colour)}`, "data-rule": one.name, "data-mechanism": one.mechanism, "data-mark": one.index,
            "data-selected": one.index === model.get("selected") ? "true" : null, "data-open": one.hollow ? "true" : null, "data-dimmed": dimmed(one) });
        });
        attributes(cursor, shown ? { cx: shown.x, cy: shown.y, r: shown.r + 4, visibility: null } : { visibility: "hidden" });
        attributes(hit, { x: left - 12, y: top - 12, width: Math.max(width - left + 12, 1), height: HEIGHT + 24 });

        // What colours, shapes and sizes mean, in as many lines as it takes.
        const costs = everything.map(({ size }) => size).filter((value) => value !== null);
        const ends = costs.length ? [...new Set([Math.min(...costs), Math.max(...costs)])] : [];
        const used = [...new Map(order.map((one) => [one.rule, one])).values()].sort((a, b) => a.rule - b.rule);
        const entries = [...used.map((one) => ({ text: one.name, shape: 0, r: 5, colour: tone(one.colour) })),
          ...shapes.map((text, k) => ({ text, shape: k, r: 5, colour: "var(--fi-muted-line)", breaks: k === 0 })),
          ...(order.some(({ hollow }) => hollow) ? [{ text: model.get("open_word"), shape: 0, r: 5, hollow: true, breaks: true }] : []),
          ...ends.map((value, k) => ({ text: k ? sized(value) : `${model.get("size_name")} ${sized(value)}`, shape: 0, r: radius(value), hollow: true, breaks: k === 0 }))];
        let [x, line] = [left, floor + TRADE_FOOT];
        keep(legend, entries.length, () => svg("g", {}, svg("path", { class: "fi-trade-key" }), svg("text", { class: "fi-head-text" }))).forEach((node, k) => {
          const { text, shape, r, colour, hollow, breaks } = entries[k];
          const wide = 2 * r + 8 + ruler.width(text) + 20;
          if (x > left && (breaks || x + wide > width)) [x, line] = [left, line + LINE + (breaks ? 2 : 0)];
          const tall = Math.max(r - 8, 0);
          attributes(node.firstChild, { d: shapeOf(shape, r), transform: `translate(${x + r} ${line + tall})`, "data-hollow": hollow ? "true" : null,
            style: hollow ? null : `fill: ${colour}; stroke: ${colour}` });
          attributes(words(node.lastChild, text), { x: x + 2 * r + 8, y: line + tall });
          x += wide;
        });
        attributes(picture, { width, height: line + 24 });
        attributes(root, { "data-pick": model.get("pick") || null, "data-marks": order.length });
        words(readout, shown ? shown.said : model.get("hint"));
        attributes(readout, { "data-mark": shown ? shown.index : null });
      };
    }

    return mountView({ model, el }, {
      name: "trade-off-plot",
      build,
      image: () => picture,
      isEmpty: () => !model.get("accuracies").some((value) => value !== null),
      note: () => "line: 95 % interval; ringed: in force",
      label: () => `${model.get("title")}: ${all().map(({ said }) => said).join(" ")} Arrow keys tell each mark${model.get("pick") ? `, Enter to ${model.get("pick")}` : ""}.`,
      table: () => ({
        columns: [{ name: "mechanism" }, { name: "rule" }, { name: model.get("x_name"), kind: "number" }, { name: "accuracy", unit: "%", kind: "percent" },
          { name: "from", unit: "%", kind: "percent" }, { name: "to", unit: "%", kind: "percent" }, { name: model.get("size_name"), unit: model.get("size_unit"), kind: "number" }],
        rows: all().map((one) => [one.mechanism, one.name, one.epsilon, one.accuracy, one.low, one.high, one.size]),
      }),
    });
  },
};
