// Widths of texts, without a layout: measured on a canvas and remembered.

export function textRuler(root) {
  const pen = document.createElement("canvas").getContext("2d");
  const known = new Map();
  let family = "";
  function width(value, size = 11, weight = 400) {
    family ||= getComputedStyle(root).fontFamily || "sans-serif";
    const key = `${size} ${weight} ${value}`;
    if (known.has(key)) return known.get(key);
    if (known.size > 2000) known.clear();
    pen.font = `${weight} ${size}px ${family}`;
    const measured = pen.measureText(value).width;
    known.set(key, measured);
    return measured;
  }
  const widest = (values, size, weight) => values.reduce((most, value) => Math.max(most, width(value, size, weight)), 0);
  // Shortened with an ellipsis to fit.
  function fit(value, room, size = 11, weight = 400) {
    if (width(value, size, weight) <= room) return value;
    let end = value.length;
    while (end > 0 && width(`${value.slice(0, end)}\u2026`, size, weight) > room) end -= 1;
    return end > 0 ? `${value.slice(0, end)}\u2026` : "";
  }
  // Broken between words into lines that fit.
  function wrap(value, room, size = 11) {
    const broken = [];
    for (const word of value.split(" ").flatMap((one) => hyphened(one, room, size))) {
      const longer = broken.length ? `${broken.at(-1)} ${word}` : word;
      if (broken.length && width(longer, size) <= room) broken[broken.length - 1] = longer;
      else broken.push(word);
    }
    return broken;
  }
  function hyphened(word, room, size) {
    if (width(word, size) <= room) return [word];
    let end = word.length - 1;
    while (end > 1 && width(`${word.slice(0, end)}-`, size) > room) end -= 1;
    return end < 2 ? [word] : [`${word.slice(0, end)}-`, ...hyphened(word.slice(end), room, size)];
  }
  return { width, widest, fit, wrap };
}
