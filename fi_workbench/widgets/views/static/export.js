import { html, svg } from "./dom.js";

// Copying and saving what a view shows.

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https or the permission: by way of a selected field.
    const field = html("textarea", { style: "position: fixed; opacity: 0" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

export function saveBlob(blob, file) {
  const link = html("a", { download: file, href: URL.createObjectURL(blob) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size",
  "font-weight", "font-variant-numeric", "text-anchor", "dominant-baseline", "paint-order", "image-rendering", "width", "height"];

// An SVG that stands alone: the theme's colours and fonts written out, on the theme's ground.
export function standaloneSvg(source, ground) {
  const copy = source.cloneNode(true);
  const from = [source, ...source.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((node, k) => {
    const style = getComputedStyle(node);
    const geometry = ["rect", "image"].includes(node.localName);
    const properties = KEPT.filter((name) => geometry || (name !== "width" && name !== "height"));
    to[k].setAttribute("style", properties.map((name) => `${name}: ${style.getPropertyValue(name)}`).join("; "));
    to[k].removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.prepend(svg("rect", { width: "100%", height: "100%", fill: ground }));
  return new XMLSerializer().serializeToString(copy);
}

export function canvasBlob(source, ground) {
  const copy = html("canvas", { width: source.width, height: source.height });
  const pen = copy.getContext("2d");
  pen.fillStyle = ground;
  pen.fillRect(0, 0, copy.width, copy.height);
  pen.drawImage(source, 0, 0);
  return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
}
