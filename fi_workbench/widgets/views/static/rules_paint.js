import { attributes, svg } from "./dom.js";

// A rule's looks, from its number on the page: colour first, then dashes and marks. Bounds are grey: dashed, the oracle dotted.

const N_RULE_COLOURS = 8;
const RULE_DASHES = [null, "7 3", "7 3 2 3"];
const BOUND_DASHES = { bound: "6 4", oracle: "1.5 3.5" };

const round = (index, n) => Math.floor(index / N_RULE_COLOURS) % n;

export const ruleColour = ({ kind, colour }) => (kind === "rule" ? `var(--fi-rule-${colour % N_RULE_COLOURS})` : "var(--fi-muted-line)");
export const ruleDash = ({ kind, colour }) => (kind === "rule" ? RULE_DASHES[round(colour, RULE_DASHES.length)] : BOUND_DASHES[kind]);

// A dot, from the ninth rule on a square, from the seventeenth on a diamond; around (0, 0).
export function markPath({ kind, colour }, size = 5) {
  const shape = kind === "rule" ? round(colour, 3) : 0;
  if (shape === 1) return `M${-size} ${-size}H${size}V${size}H${-size}Z`;
  if (shape === 2) return `M0 ${-size * 1.4}L${size * 1.4} 0L0 ${size * 1.4}L${-size * 1.4} 0Z`;
  return `M${-size} 0A${size} ${size} 0 1 0 ${size} 0A${size} ${size} 0 1 0 ${-size} 0Z`;
}

export const ruleMark = (node, one, size = 5) => attributes(node, { d: markPath(one, size),
  style: one.kind === "rule" ? `fill: ${ruleColour(one)}; stroke: ${ruleColour(one)}` : `fill: var(--fi-ground); stroke: ${ruleColour(one)}` });

export const markNode = () => svg("path", { class: "fi-rule-mark" });

// Names, kinds and colours of a view, one object per rule.
export function rulesOf(model) {
  return model.get("names").map((name, k) => ({ name, place: k, kind: model.get("kinds")[k] ?? "rule",
    colour: model.get("colours").length ? model.get("colours")[k] ?? 0 : k }));
}
