// Tables that are sorted by their headings, and long ones that are filtered by a word.

const FILTERED_FROM = 8; // rows

/** Give a table buttons in its headings, and a field above it where it is long. */
function sortable(table, name) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const sort = element("button", { type: "button", click: () => sortBy(table, column) }, ...heading.childNodes);
    heading.replaceChildren(sort);
  });
  if (table.tBodies[0].rows.length >= FILTERED_FROM) table.parentElement.before(filterField(table, name));
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const descends = headings[column].getAttribute("aria-sort") === "ascending";
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[column].setAttribute("aria-sort", descends ? "descending" : "ascending");
  const way = descends ? -1 : 1;
  const key = ({ cells }) => cellValue(cells[column].dataset.value ?? cells[column].textContent);
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => compareCells(a, b, way));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

/** A number where a cell begins with one, such as "1,234 of 5,000" or "91.4 %", null for a dash, or the text. */
function cellValue(text) {
  const plain = text.trim().replaceAll(",", "").replace("\u2212", "-");
  if (plain === "" || plain === "\u2013") return null;
  if (plain.startsWith("\u221e")) return Infinity;
  const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?(?=$|[\s\u00a0\u00d7%])/i.exec(plain);
  return number ? Number(number[0]) : text.trim();
}

/** Numbers by size, then texts by the alphabet, and what is missing last, whichever way. */
function compareCells(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  const order = typeof a === "number" ? a - b || 0 : a.localeCompare(b, "en", { numeric: true });
  return way * order;
}

function filterField(table, name) {
  const count = element("span", { role: "status" });
  const field = element("input", { type: "search", placeholder: "layer, type, …", input: () => filter(table, field.value, count) });
  return element("p", { class: "controls screen" }, element("label", {}, `Filter ${name} `, field), " ", count);
}

function filter(table, words, count) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => !row.hidden).length;
  count.textContent = wanted.length ? `${left} of ${rows.length} rows` : "";
}
