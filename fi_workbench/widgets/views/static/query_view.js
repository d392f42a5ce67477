import { attributes, html, hover, keep, svg, words } from "./dom.js";
import { count, percent } from "./format.js";
import { mountView } from "./frame.js";
import { chip, colourNumbers, lineColour, paints } from "./paint.js";
import { floats } from "./requests.js";

const LINE = 15;
const CELL_HEIGHT = 78;
const MOST_CLASSES = 10;
const MOST_LABELS = 4; // that a disagreement is told of,
const MOST_NAMES = 3; // with the parties by name

function best(scores) {
  let top = null;
  scores.forEach((score, k) => { if (Number.isFinite(score) && (top === null || score > scores[top])) top = k; });
  return top;
}

// Pixels as a picture's address; kept until other pixels come.
function pixelUrl() {
  let [pixels, url] = [null, ""];
  return (view, width, height, channels) => {
    if (view === pixels) return url;
    pixels = view;
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const canvas = html("canvas", { width, height });
    const image = new ImageData(width, height);
    for (let k = 0; k < width * height; k += 1) {
      for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = bytes[channels === 3 ? 3 * k + c : k];
      image.data[4 * k + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return (url = canvas.toDataURL());
  };
}

// The classes that fit: all of them, or the highest and the true one.
function chosenClasses(scores, truth) {
  const all = scores.map((_, k) => k);
  if (all.length <= MOST_CLASSES) return all;
  const ranked = [...all].sort((a, b) => scores[b] - scores[a]).slice(0, MOST_CLASSES);
  if (truth !== null && !ranked.includes(truth)) ranked[MOST_CLASSES - 1] = truth;
  return ranked;
}

const makeText = (name, values = {}) => svg("text", { class: name, ...values });

function makeCell(paint) {
  const mark = chip(paint);
  const parts = { name: makeText("fi-name"), says: makeText("fi-head-text", { "text-anchor": "end" }), hidden: svg("rect", { class: "fi-track", height: 40 }),
    word: makeText("fi-status-word"), base: svg("line", { class: "fi-grid-line" }), bars: svg("g"), labels: svg("g"), truth: svg("rect", { class: "fi-truth" }) };
  const group = svg("g", { "data-testid": "fi-party" }, mark.node, ...Object.values(parts));
  group.parts = { ...parts, mark };
  return group;
}

export default {
  render({ model, el }) {
    const picture = svg("svg", { class: "fi-svg" });
    const urlOf = pixelUrl();

    function current() {
      const [classes, names] = [model.get("classes"), model.get("parties")];
      const answers = floats(model.get("answers"));
      const parties = names.map((name, k) => {
        const scores = [...answers.subarray(k * classes.length, (k + 1) * classes.length)];
        return { name, colour: colourNumbers(model.get("colours"), names.length)[k], scores, says: best(scores) };
      });
      const scores = model.get("scores");
      return { classes, parties, scores, says: best(scores), truth: model.get("truth"), disclosed: model.get("disclosed") && answers.length > 0 };
    }

    // In words: do they agree?
    function agreement({ parties, classes, disclosed }) {
      if (!disclosed) return "";
      const votes = new Map();
      parties.forEach(({ says }) => says !== null && votes.set(says, (votes.get(says) ?? 0) + 1));
      const ranked = [...votes].sort((a, b) => b[1] - a[1]);
      if (ranked.length < 2) return ranked.length ? `All say ${classes[ranked[0][0]]}` : "Nobody answered";
      const groups = ranked.slice(0, MOST_LABELS).map(([k, n]) => {
        const names = parties.filter(({ says }) => says === k).map(({ name }) => name);
        const who = n <= MOST_NAMES ? names.join(", ") : `${n} parties`;
        return `${who} ${n === 1 ? "says" : "say"} ${classes[k]}`;
      });
      const others = ranked.length > MOST_LABELS ? "; others say something else" : "";
      return `Parties disagree: ${groups.join("; ")}${others}`;
    }

    function navigation({ ask, signal }) {
      const button = (kind, label, text) => {
        const node = html("button", { type: "button", class: "fi-button", "aria-label": label, title: label, "data-testid": `fi-${kind.replaceAll("_", "-")}` }, text);
        node.addEventListener("click", () => ask(kind), { signal });
        return node;
      };
      const place = html("span", { class: "fi-place", "data-testid": "fi-place" });
      const agree = html("span", { class: "fi-agreement", "aria-live": "polite", "data-testid": "fi-agreement" });
      const node = html("div", { class: "fi-nav" }, button("previous", "Previous query (left arrow)", "\u25c0"), place,
        button("next", "Next query (right arrow)", "\u25b6"), button("next_disagreement", "Next query on which the parties disagree (D)", "Next disagreement"), agree);
      return { node, show(data) {
        const n = model.get("n_queries");
        words(place, n ? `${count(model.get("position") + 1)} / ${count(n)}` : "-");
        attributes(place, { style: `min-width: ${2 * String(n).length + 4}ch` });
        words(agree, agreement(data));
      } };
    }

    function build(holder, tools) {
      const { id, ruler } = tools;
      const paint = paints(picture, id);
      const nav = navigation(tools);
      holder.before(nav.node);
      const image = svg("image", { class: "fi-pixels", preserveAspectRatio: "xMidYMid meet" });
      const edge = svg("rect", { class: "fi-edge" });
      const strip = svg("g");
      const truthText = makeText("fi-head-text");
      const consensus = makeText("fi-strong");
      const rows = svg("g");
      const cells = svg("g");
      const secret = svg("rect", { class: "fi-track", height: 56, style: `fill: ${paint.hatch()}` });
      const secretText = svg("g");
      picture.append(image, edge, strip, truthText, consensus, rows, cells, secret, secretText);
      holder.append(picture);

      function drawQuery(size) {
        const [w, h, vector] = [model.get("width"), model.get("height"), model.get("vector")];
        const pixels = w > 0 && h > 0;
        attributes(image, { width: size, height: size, x: 0, y: 0, visibility: pixels ? null : "hidden", href: pixels ? urlOf(model.get("image"), w, h, model.get("n_channels")) : null });
        const scale = pixels ? Math.min(size / w, size / h) : 1;
        const [wide, high] = pixels ? [w * scale, h * scale] : [size, size];
        attributes(edge, { x: (size - wide) / 2 + 0.5, y: (size - high) / 2 + 0.5, width: wide - 1, height: high - 1, visibility: pixels || vector.length ? null : "hidden" });
        const most = Math.max(1e-12, ...vector.map((value) => Math.abs(value ?? 0)));
        const negative = vector.some((value) => value < 0);
        const zero = negative ? size / 2 : size - 4;
        keep(strip, pixels ? 0 : vector.length, () => svg("rect", { class: "fi-vector" })).forEach((bar, k) => {
          const length = (Math.abs(vector[k] ?? 0) / most) * (negative ? size / 2 - 4 : size - 8);
          attributes(bar, { x: 4 + (k * (size - 8)) / vector.length, width: Math.max((size - 8) / vector.length - 0.5, 0.5), y: vector[k] < 0 ? zero : zero - length, height: length });
        });
      }

      function drawConsensus({ classes, scores, says, truth }, left, width) {
        const unsure = model.get("abstains") ? "Do not know; most likely" : "Consensus:";
        words(consensus, says === null ? "No consensus" : `${unsure} ${classes[says]}`);
        attributes(consensus, { x: left, y: 8 });
        const chosen = chosenClasses(scores, truth);
        const names = Math.min(Math.ceil(ruler.widest(chosen.map((k) => classes[k]))), width * 0.4) + 8;
        const room = width - names - 44;
        keep(rows, chosen.length, () => svg("g", {}, makeText("fi-head-text", { "text-anchor": "end" }), svg("rect", { class: "fi-bar fi-glide fi-consensus", height: 11 }),
          svg("rect", { class: "fi-truth", height: 13 }), makeText("fi-number fi-small"))).forEach((row, r) => {
          const k = chosen[r];
          const [name, bar, outline, value] = row.children;
          attributes(row, { transform: `translate(${left} ${20 + r * LINE})`, "data-score": scores[k] });
          words(name, ruler.fit(classes[k], names - 8));
          attributes(name, { x: names - 8, y: LINE / 2 });
          attributes(bar, { x: names, y: 2, style: `width: ${(Math.min(Math.max(scores[k] ?? 0, 0), 1) * room).toFixed(1)}px` });
          attributes(outline, { x: names - 0.5, y: 1, width: room + 1, visibility: k === truth ? null : "hidden" });
          words(value, percent(scores[k]));
          attributes(value, { x: width, y: LINE / 2 });
        });
        return 20 + chosen.length * LINE;
      }

      function drawParty(cell, party, { classes, says, truth }, width) {
        const { mark, name, says: said, hidden, word, base, bars, labels, truth: outline } = cell.parts;
        const absent = party.says === null;
        attributes(cell, { "data-party": party.name, "data-says": absent ? "" : classes[party.says] });
        attributes(mark.node, { x: 1, y: 3 });
        mark.colour(party.colour);
        const differs = !absent && says !== null && party.says !== says;
        const brief = absent ? "absent" : `says ${classes[party.says]}`;
        const marked = `${brief} \u00b7 differs`;
        const weight = differs ? 600 : 400;
        const saysText = differs && ruler.width(marked, 11, weight) <= width * 0.6 ? marked : brief;
        attributes(cell, { "data-differs": differs ? "true" : null });
        attributes(said, { class: differs ? "fi-says-else" : "fi-head-text" });
        words(said, ruler.fit(saysText, width * 0.6, 11, weight));
        attributes(said, { x: width, y: 9 });
        words(name, ruler.fit(party.name, width - 24 - Math.min(ruler.width(saysText, 11, weight), width * 0.6), 13));
        attributes(name, { x: 18, y: 9 });
        attributes(hidden, { x: 0, y: 18, width, visibility: absent ? null : "hidden", style: `fill: ${paint.hatch()}` });
        words(word, absent ? "absent" : "");
        attributes(word, { x: 8, y: 38 });
        attributes(base, { x1: 0, x2: width, y1: 58.5, y2: 58.5 });
        const step = width / classes.length;
        keep(bars, absent ? 0 : classes.length, () => svg("g", {}, svg("rect", { class: "fi-hit", y: 18, height: 40 }), svg("rect", { class: "fi-bar fi-glide" }))).forEach((one, k) => {
          const size = Math.min(Math.max(party.scores[k], 0), 1) * 40;
          attributes(one.children[one.childElementCount - 2], { x: k * step, width: step });
          attributes(one.lastChild, { x: k * step + step * 0.12, width: step * 0.76, style: `y: ${(58 - size).toFixed(1)}px; height: ${size.toFixed(1)}px; fill: ${paint.area(party.colour)}; stroke: ${lineColour(party.colour)}; stroke-width: ${size > 1 ? 0.75 : 0}` });
          hover(one, `${party.name}: ${classes[k]} ${percent(party.scores[k])} %`);
        });
        const labelled = ruler.widest(classes) + 2 <= step ? classes : [];
        keep(labels, labelled.length, () => makeText("fi-head-text", { "text-anchor": "middle" })).forEach((node, k) => {
          words(node, labelled[k]);
          attributes(node, { x: (k + 0.5) * step, y: 67 });
        });
        attributes(outline, { x: (truth ?? 0) * step + 0.5, y: 17.5, width: Math.max(step - 1, 1), height: 41, visibility: truth === null || absent ? "hidden" : null });
      }

      return (width) => {
        const data = current();
        const { parties, classes, truth, disclosed } = data;
        nav.show(data);
        const size = width < 560 ? 112 : 144;
        drawQuery(size);
        words(truthText, truth === null ? "" : `truth: ${ruler.fit(classes[truth] ?? "-", size - 36)} (outlined)`);
        attributes(truthText, { x: 0, y: size + 12 });
        const left = size + 24;
        const beside = width >= 860;
        const bottom = Math.max(size + 22, drawConsensus(data, left, beside ? 300 : Math.min(width - left, 420)));

        const at = beside ? { x: left + 324, y: 0 } : { x: 0, y: bottom + 14 };
        const room = width - at.x;
        const columns = Math.max(1, Math.min(Math.floor((room + 20) / 168), parties.length || 1));
        const cellWidth = Math.min((room - 20 * (columns - 1)) / columns, 240);
        keep(cells, disclosed ? parties.length : 0, () => makeCell(paint)).forEach((cell, k) => {
          const [column, line] = [k % columns, Math.floor(k / columns)];
          attributes(cell, { transform: `translate(${(at.x + column * (cellWidth + 20)).toFixed(1)} ${at.y + line * CELL_HEIGHT})` });
          drawParty(cell, parties[k], data, cellWidth);
        });
        attributes(secret, { ...at, width: Math.min(room, 480), visibility: disclosed ? "hidden" : null });
        const lines = disclosed ? [] : ruler.wrap(model.get("hidden_reason"), Math.min(room, 480) - 24);
        keep(secretText, lines.length, () => makeText("fi-status-word")).forEach((node, k) => {
          words(node, lines[k]);
          attributes(node, { x: at.x + 12, y: at.y + 28 + (k - (lines.length - 1) / 2) * 15 });
        });
        const high = disclosed ? Math.ceil(parties.length / columns) * CELL_HEIGHT : 60;
        attributes(picture, { width, height: Math.max(bottom, at.y + high), "data-disclosed": disclosed ? "true" : "false" });
      };
    }

    const saysOf = ({ classes }, says) => (says === null ? null : classes[says]);
    return mountView({ model, el }, {
      name: "query-view",
      build,
      image: () => picture,
      isEmpty: () => model.get("n_queries") === 0,
      label: () => {
        const data = current();
        return `Query ${model.get("position") + 1} of ${model.get("n_queries")}: ${model.get("abstains") ? "do not know, most likely" : "consensus"} ${saysOf(data, data.says) ?? "-"}, truth ${saysOf(data, data.truth) ?? "-"}. `
          + (data.disclosed ? `${agreement(data)}.` : model.get("hidden_reason"));
      },
      table: () => {
        const data = current();
        const row = (name, scores, says) => [name, saysOf(data, says), ...data.classes.map((_, k) => scores[k] ?? null)];
        return {
          columns: [{ name: "who" }, { name: "says" }, ...data.classes.map((name, k) => ({ name: k === data.truth ? `${name} (truth)` : name, unit: "%", kind: "percent" }))],
          rows: [row("consensus", data.scores, data.says), ...(data.disclosed ? data.parties.map(({ name, scores, says }) => row(name, scores, says)) : [])],
          colours: [null, ...(data.disclosed ? data.parties.map(({ colour }) => colour) : [])],
          faults: ["", ...(data.disclosed ? data.parties.map(({ says }) => (says === null ? "absent" : "")) : [])],
        };
      },
    });
  },
};
