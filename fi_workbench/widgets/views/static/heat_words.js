import { number, percent, points } from "./format.js";

// A heat map's numbers: short in its cells, long in its sentences.

const INFINITY = "\u221e";

export function shortForm({ kind }, value) {
  if (Number.isNaN(value)) return "-";
  if (!Number.isFinite(value)) return INFINITY;
  const brief = (size) => (size < 9.95 ? size.toFixed(1) : String(Math.round(size)));
  const minus = value < 0 ? "\u2212" : "";
  if (kind === "percent") return `${value && brief(Math.abs(100 * value)) !== "0.0" ? minus : ""}${brief(Math.abs(100 * value))}`;
  if (kind === "points") return Math.abs(value) < 0.0005 ? "0" : `${minus || "+"}${brief(Math.abs(100 * value))}`;
  if (kind === "factor") return value === 0 ? "0" : value < 0.995 ? value.toFixed(2) : brief(value);
  return number(value);
}

// Without decimals, where there is little room.
export function briefForm(map, value) {
  if (!Number.isFinite(value) || (map.kind !== "percent" && map.kind !== "points")) return shortForm(map, value);
  const whole = Math.round(Math.abs(100 * value));
  return whole ? `${value < 0 ? "\u2212" : map.kind === "points" ? "+" : ""}${whole}` : "0";
}

export function longForm({ kind, unit }, value) {
  const shown = { percent, points }[kind] ?? number;
  const text = Number.isFinite(value) ? shown(value) : shortForm({ kind }, value);
  return unit && text !== "-" ? `${text} ${unit}` : text;
}

export const tableKind = ({ kind, unit }) => ({ unit, kind: kind === "factor" ? "number" : kind });
