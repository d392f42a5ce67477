// Elements, made and changed. Every setter writes only what differs, so that an unchanged frame costs no layout.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

export function attributes(node, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === false) {
      if (node.hasAttribute(name)) node.removeAttribute(name);
    } else if (node.getAttribute(name) !== String(value)) {
      node.setAttribute(name, value);
    }
  }
  return node;
}

export function words(node, value) {
  if (node.textContent !== value) node.textContent = value;
  return node;
}

export function html(tag, values = {}, ...children) {
  const node = attributes(document.createElement(tag), values);
  node.append(...children);
  return node;
}

export function svg(tag, values = {}, ...children) {
  const node = attributes(document.createElementNS(SVG_NAMESPACE, tag), values);
  node.append(...children);
  return node;
}

// Exactly `count` children in `parent`: nodes are kept, so that they can glide.
export function keep(parent, count, make) {
  while (parent.childElementCount > count) parent.lastElementChild.remove();
  while (parent.childElementCount < count) parent.append(make());
  return [...parent.children];
}

// A hover text on an SVG element or group.
export function hover(node, value) {
  let title = node.querySelector(":scope > title");
  if (!title) node.prepend((title = svg("title")));
  words(title, value);
}

// Unique on the page, also where crypto.randomUUID is missing (plain http).
export function uniqueId() {
  return `fi-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
}
