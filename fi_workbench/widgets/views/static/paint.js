import { N_COLOURS } from "./palette.js";
import { attributes, svg } from "./dom.js";

// Colours and hatches. Patterns live in each picture under its own ids, so that pictures do not share them.

export const isHatchedColour = (index) => index !== null && index >= N_COLOURS;
export const areaColour = (index) => (index === null ? "var(--fi-text)" : `var(--fi-party-${index % N_COLOURS})`);
export const lineColour = (index) => (index === null ? "var(--fi-text)" : `var(--fi-line-${index % N_COLOURS})`);

// The colour's number of each of `n` rows: as given, or the row's place.
export const colourNumbers = (given, n) => Array.from({ length: n }, (_, k) => (given.length ? given[k] : k));

function stripes(id, ground, stroke, width) {
  return svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    ...(ground ? [svg("rect", { width: 6, height: 6, style: `fill: ${ground}` })] : []),
    svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, style: `stroke: ${stroke}; stroke-width: ${width}` }));
}

// A picture's own patterns, made when first asked for.
export function paints(root, id) {
  const defs = svg("defs");
  root.prepend(defs);
  const made = new Set();
  const once = (name, make) => {
    if (!made.has(name)) defs.append(make(`${id}-${name}`));
    made.add(name);
    return `url(#${id}-${name})`;
  };
  return {
    area: (index) => (isHatchedColour(index)
      ? once(`party-${index % N_COLOURS}`, (name) => stripes(name, areaColour(index), "var(--fi-ground)", 3))
      : areaColour(index)),
    // Something is wrong or hidden: thin lines in the text's grey.
    hatch: () => once("hatch", (name) => stripes(name, null, "var(--fi-muted)", 1.4)),
    // A loss: the party's colour with gaps.
    loss: (index) => once(`loss-${index}`, (name) => stripes(name, null, lineColour(index), 5)),
  };
}

// The square beside a party's name.
export function chip(paint, size = 10) {
  const node = svg("rect", { width: size, height: size, rx: 2, class: "fi-chip" });
  return { node, colour: (index) => attributes(node, { style: `fill: ${paint.area(index)}; stroke: ${lineColour(index)}` }) };
}

// The same as HTML, for tables.
export function chipStyle(index) {
  const colour = areaColour(index);
  const ground = isHatchedColour(index)
    ? `repeating-linear-gradient(135deg, ${colour} 0 3px, var(--fi-ground) 3px 5px)` : colour;
  return `background: ${ground}; border-color: ${lineColour(index)}`;
}
