import { attributes, html, keep, words } from "./dom.js";
import { count, number, percent, plain, points } from "./format.js";
import { chipStyle } from "./paint.js";

// A table model is { columns: [{ name, unit, kind }], rows: [[...]], colours?, faults? }; kinds as in table_view.py.

const SHOWN = { number, count, percent, points, text: (value) => (value === null || value === undefined || value === "" ? "-" : String(value)) };

export const shownCell = (column, value) => (typeof value === "string" ? value || "-" : SHOWN[column.kind ?? "text"](value));

const head = (column) => (column.unit ? `${column.name} (${column.unit})` : column.name);
const isShare = ({ kind }) => kind === "percent" || kind === "points";
const written = (column, value) => (isShare(column) && typeof value === "number" ? plain(100 * value) : plain(value));

function lines({ columns, rows }, separator, quote) {
  const cells = [columns.map(head), ...rows.map((row) => row.map((value, k) => written(columns[k], value)))];
  return cells.map((row) => row.map(quote).join(separator)).join("\n") + "\n";
}

// A text that a spreadsheet would run as a formula is set off by an apostrophe.
const safe = (text) => (/^[=+@]|^-(?![\d.]|$)/.test(text) ? `'${text}` : text);

export const asTsv = (table) => lines(table, "\t", (text) => safe(text.replace(/[\t\n\r]+/g, " ")));
export const asCsv = (table) => lines(table, ",", (text) => (/[",\n\r]/.test(safe(text)) ? `"${safe(text).replaceAll('"', '""')}"` : safe(text)));

export function tableElement(caption) {
  const headRow = html("tr");
  const body = html("tbody");
  const title = html("caption", { class: "fi-hidden-text" }, caption);
  const node = html("table", { class: "fi-table", "data-testid": "fi-table" }, title, html("thead", {}, headRow), body);

  function show({ columns, rows, colours = [], faults = [] }) {
    keep(headRow, columns.length, () => html("th", { scope: "col" })).forEach((cell, k) => {
      const column = columns[k];
      attributes(cell, { class: column.kind && column.kind !== "text" ? "fi-numeric" : null });
      if (cell.dataset.head === head(column)) return;
      cell.dataset.head = head(column);
      cell.replaceChildren(column.name, ...(column.unit ? [html("span", { class: "fi-unit" }, ` ${column.unit}`)] : []));
    });
    keep(body, rows.length, () => html("tr")).forEach((line, r) => {
      attributes(line, { class: faults[r] ? "fi-fault" : null, title: faults[r] || null });
      keep(line, columns.length, () => html("td")).forEach((cell, k) => {
        const numeric = columns[k].kind && columns[k].kind !== "text";
        attributes(cell, { class: numeric ? "fi-numeric" : null });
        const colour = k === 0 && colours.length ? colours[r] : undefined;
        const shown = shownCell(columns[k], rows[r][k]);
        if (colour === undefined || colour === null) {
          words(cell, shown);
        } else if (cell.dataset.chip !== `${colour} ${shown}`) {
          cell.dataset.chip = `${colour} ${shown}`;
          cell.replaceChildren(html("span", { class: "fi-swatch", style: chipStyle(colour) }), shown);
        }
      });
    });
  }
  return { node, show };
}
