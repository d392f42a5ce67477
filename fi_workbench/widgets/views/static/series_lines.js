import { attributes, html, words } from "./dom.js";
import { count, mark, number, percent, ticks } from "./format.js";
import { mountView, onThemeChange } from "./frame.js";
import { colourNumbers, isHatchedColour, lineColour } from "./paint.js";
import { floats } from "./requests.js";

const HEIGHT = 208;
const TOP = 10;
const BOTTOM = 24;
const LABEL = 14;
const DASHES = { consensus: [], best: [6, 4], bound: [6, 4], oracle: [1.5, 3.5] };

// What each series looks like, from what it is; many parties get hairlines (clearer, and three times as fast to draw).
function styleOf({ kind, colour }, resolve, nSeries) {
  if (kind === "party") return { stroke: resolve(lineColour(colour)), dash: isHatchedColour(colour) ? [8, 3, 2, 3] : [], width: nSeries > 8 ? 1 : 1.5 };
  return { stroke: resolve(kind === "consensus" ? "var(--fi-text)" : "var(--fi-muted-line)"), dash: DASHES[kind], width: kind === "consensus" ? 2.25 : 1.75 };
}

// The vertical scale: as set, 0 to 100 % for shares, else the data's ends on round numbers, with zero where it is near.
function scaleOf(values, limits, unit) {
  if (limits.length) return limits;
  if (unit === "%") return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low <= high)) return [0, 1];
  const around = low === high ? Math.abs(low) / 2 || 1 : 0;
  [low, high] = [low - around, high + around];
  if (low > 0 && low < high * 0.6) low = 0;
  const step = ticks(low, high, 5);
  const by = step.length > 1 ? step[1] - step[0] : high - low;
  return [Math.floor(low / by + 1e-9) * by, Math.ceil(high / by - 1e-9) * by];
}

// Labels at least a line apart, as near to their line's end as that allows.
function spread(labels, low, high) {
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
    const canvas = html("canvas", { class: "fi-canvas" });
    const shown = (value) => (model.get("unit") === "%" ? percent(value) : number(value));

    function all() {
      const names = model.get("names");
      const values = floats(model.get("points"));
      const n = names.length ? Math.floor(values.length / names.length) : 0;
      const kinds = names.map((_, k) => model.get("kinds")[k] ?? (k ? "party" : "consensus"));
      const nParties = kinds.filter((kind) => kind === "party").length;
      const places = colourNumbers([], nParties);
      const series = names.map((name, k) => ({ name, kind: kinds[k], values: values.subarray(k * n, (k + 1) * n),
        colour: model.get("colours").length ? model.get("colours")[k] : kinds[k] === "party" ? places.shift() : null }));
      return { series, n, values, first: model.get("first_round") };
    }

    const lastOf = ({ values }) => values.findLast(Number.isFinite);

    function build(holder, { root, ruler, schedule, signal }) {
      const readout = html("div", { class: "fi-readout", hidden: "", "data-testid": "fi-readout" });
      holder.append(canvas, readout);
      const pen = canvas.getContext("2d");
      let colours = new Map();
      let pointer = null;
      onThemeChange(() => { colours = new Map(); schedule(); }, signal);
      const probe = html("span", { style: "display: none" });
      root.append(probe);
      function resolve(colour) {
        if (!colours.has(colour)) {
          probe.style.color = colour;
          colours.set(colour, getComputedStyle(probe).color);
        }
        return colours.get(colour);
      }
      canvas.addEventListener("pointermove", (event) => { pointer = event.offsetX; schedule(); }, { signal });
      canvas.addEventListener("pointerleave", () => { pointer = null; schedule(); }, { signal });

      function showReadout(index, x, width, { series, first }) {
        attributes(readout, { hidden: index === null ? "" : null });
        if (index === null) return;
        words(readout, [`${model.get("horizontal")} ${count(first + index)}`,
          ...series.map(({ name, values }) => `${name} ${shown(values[index])}`)].join("\n"));
        const left = x > width / 2;
        attributes(readout, { style: left ? `right: ${width - x + 8}px` : `left: ${x + 8}px` });
      }

      return (width) => {
        const ratio = window.devicePixelRatio || 1;
        if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(HEIGHT * ratio)) {
          attributes(canvas, { width: Math.round(width * ratio), height: Math.round(HEIGHT * ratio), style: `width: ${width}px; height: ${HEIGHT}px` });
        }
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        pen.clearRect(0, 0, width, HEIGHT);
        const family = getComputedStyle(root).fontFamily;
        pen.font = `11px ${family}`;
        pen.textBaseline = "middle";
        const data = all();
        const { series, n, first } = data;
        const unit = model.get("unit");
        const [low, high] = scaleOf(data.values, model.get("limits"), unit);
        const marks = ticks(low, high, 5);
        const markText = marks.map((value, k) => `${mark(shown(value))}${k === marks.length - 1 && unit ? ` ${unit}` : ""}`);
        const left = Math.ceil(ruler.widest(markText)) + 10;
        const texts = series.flatMap((one) => [`${one.name} ${unit === "%" ? "00.0" : "0.000"}`, `${one.name} ${shown(lastOf(one))}`]);
        const right = Math.min(Math.ceil(ruler.widest(texts, 11, 600)) + 16, Math.floor(width * 0.4));
        const [floor, plot] = [HEIGHT - BOTTOM, Math.max(width - left - right, 20)];
        const x = (k) => left + (n > 1 ? (k / (n - 1)) * plot : plot);
        const y = (value) => floor - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (floor - TOP);

        // Ground: hairlines and the two axes' numbers.
        pen.lineWidth = 1;
        pen.fillStyle = resolve("var(--fi-muted)");
        marks.forEach((value, k) => {
          pen.strokeStyle = resolve(k ? "var(--fi-grid)" : "var(--fi-muted-line)");
          pen.beginPath();
          pen.moveTo(left, Math.round(y(value)) + 0.5);
          pen.lineTo(left + plot, Math.round(y(value)) + 0.5);
          pen.stroke();
          pen.textAlign = "right";
          pen.fillText(markText[k], left - 6, y(value));
        });
        pen.textAlign = "center";
        const rounds = n > 1 ? ticks(first, first + n - 1, plot / 60).filter(Number.isInteger) : [first];
        rounds.forEach((round) => pen.fillText(count(round), x(round - first), floor + 13));
        pen.textAlign = "left";
        pen.fillText(model.get("horizontal"), left + plot + 20, floor + 13);

        // Lines, the consensus on top.
        const order = [...series].sort((a, b) => (b.kind === "party") - (a.kind === "party") || (a.kind === "consensus") - (b.kind === "consensus"));
        for (const one of order) {
          const { stroke, dash, width: thick } = styleOf(one, resolve, series.length);
          Object.assign(pen, { strokeStyle: stroke, fillStyle: stroke, lineWidth: thick, lineJoin: n > 100 ? "bevel" : "round" });
          pen.setLineDash(dash);
          pen.beginPath();
          let down = false;
          one.values.forEach((value, k) => {
            if (Number.isFinite(value)) down ? pen.lineTo(x(k), y(value)) : pen.moveTo(x(k), y(value));
            down = Number.isFinite(value);
          });
          pen.stroke();
          pen.setLineDash([]);
          // A point between two gaps is a dot.
          one.values.forEach((value, k) => {
            if (!Number.isFinite(value) || Number.isFinite(one.values[k - 1]) || Number.isFinite(one.values[k + 1])) return;
            pen.beginPath();
            pen.arc(x(k), y(value), 3, 0, 7);
            pen.fill();
          });
        }

        // Labels at the right, as many as there is height for; the others are in the read-out and the table.
        const room = Math.floor((floor - TOP) / LABEL) + 1;
        const labelled = order.toReversed().slice(0, room).map((one) => ({ one, last: lastOf(one) }))
          .filter(({ last }) => last !== undefined).map((label) => ({ ...label, y: y(label.last) }));
        spread(labelled, TOP, floor - 2).forEach(({ one, last, at, y: end }) => {
          Object.assign(pen, { strokeStyle: styleOf(one, resolve, series.length).stroke, lineWidth: 1 });
          pen.beginPath();
          pen.moveTo(left + plot + 2, end);
          pen.lineTo(left + plot + 9, at);
          pen.stroke();
          pen.fillStyle = resolve(one.kind === "consensus" || one.kind === "party" ? "var(--fi-text)" : "var(--fi-muted)");
          pen.font = `${one.kind === "consensus" ? 600 : 400} 11px ${family}`;
          const value = shown(last);
          pen.fillText(`${ruler.fit(one.name, right - 14 - ruler.width(` ${value}`, 11, 600), 11, 600)} ${value}`, left + plot + 12, at);
        });

        const index = pointer === null || n === 0 ? null : Math.round(Math.min(Math.max((pointer - left) / plot, 0), 1) * (n - 1));
        if (index !== null) {
          pen.strokeStyle = resolve("var(--fi-muted-line)");
          pen.lineWidth = 1;
          pen.beginPath();
          pen.moveTo(Math.round(x(index)) + 0.5, TOP);
          pen.lineTo(Math.round(x(index)) + 0.5, floor);
          pen.stroke();
        }
        showReadout(index, index === null ? 0 : x(index), width, data);
      };
    }

    return mountView({ model, el }, {
      name: "series-lines",
      build,
      image: () => canvas,
      isEmpty: () => !all().values.some(Number.isFinite),
      label: () => {
        const { series, n, first } = all();
        return `${model.get("title")}, ${model.get("horizontal")} ${first} to ${first + Math.max(n - 1, 0)}: ${series.map((one) =>
          `${one.name} ${shown(lastOf(one))}${model.get("unit") === "%" ? " %" : ""}`).join("; ")}`;
      },
      table: () => {
        const { series, n, first } = all();
        const unit = model.get("unit");
        return {
          columns: [{ name: model.get("horizontal"), kind: "count" }, ...series.map(({ name }) => ({ name, unit, kind: unit === "%" ? "percent" : "number" }))],
          rows: Array.from({ length: n }, (_, k) => [first + k, ...series.map(({ values }) => (Number.isFinite(values[k]) ? values[k] : null))]).reverse(),
        };
      },
    });
  },
};
