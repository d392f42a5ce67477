// Numbers for people: three significant digits, a true minus, "-" for none; never NaN.

const MINUS = "\u2212";
const THIN_SPACE = "\u202f";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function signed(value, digits) {
  return (value < 0 && /[1-9]/.test(digits) ? MINUS : "") + digits;
}

function grouped(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE);
}

export function number(value) {
  if (!isNumber(value)) return "-";
  const size = Number(Math.abs(value).toPrecision(3));
  if (size === 0) return "0";
  if (size >= 1e7 || size < 1e-4) return signed(value, size.toExponential(2).replace("e+", "e").replace("e-", `e${MINUS}`));
  if (size >= 1000) return signed(value, grouped(String(size)));
  return signed(value, size.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size)))));
}

export function count(value) {
  return isNumber(value) ? signed(value, grouped(String(Math.abs(Math.round(value))))) : "-";
}

// A share from 0 to 1 as per cent, without the sign (the unit stands in the head). Two decimals at most.
export function percent(value) {
  if (!isNumber(value)) return "-";
  const size = Math.abs(100 * value);
  return signed(value, size < 1 ? (size === 0 ? "0" : size.toFixed(2)) : number(size));
}

// A difference of shares in percentage points, always with its sign.
export function points(value) {
  if (!isNumber(value)) return "-";
  const shown = percent(value);
  return value > 0 && /[1-9]/.test(shown) ? `+${shown}` : shown;
}

// What goes into a file: full precision without the noise of binary fractions.
export function plain(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(Number(value.toPrecision(12))) : "";
  return String(value);
}

// An axis mark: no more digits than it takes.
export const mark = (shown) => shown.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

// Round steps for an axis from `low` to `high`, about `wanted` of them.
export function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(wanted, 1);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * 0.999);
  const marks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) marks.push(k * step);
  return marks;
}

// The end of a bar's scale: a few round stops; it grows at once and shrinks late, so that the scale does not jump.
export function stickyEnd(size, before) {
  const stops = [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1];
  const end = stops.find((stop) => stop >= size - 1e-9) ?? size;
  return before && end < before && size > before * 0.4 ? before : end;
}
