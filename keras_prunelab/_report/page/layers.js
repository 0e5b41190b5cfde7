// How sparse each layer is at any level of any method.

/** A slider over the levels of a method, and a table of the layers there; null where the sweep did not keep them. */
function layerView(data, curves, metric) {
  if (!data.layers) return null;
  const level = element("input", { type: "range", id: "level", min: 0, step: 1, input: () => draw() });
  const where = element("output", { for: "level" });
  const method = selection("Method", curves.map((curve) => curve.name), () => show(curves[Number(method.select.value)]));
  const rows = data.layers.names.map((name, place) => layerRow(name, data.layers.kinds[place]));
  const table = element(
    "table",
    {},
    element("caption", {}, "Sparsity of each layer at this level."),
    element("thead", {}, element("tr", {}, ...["layer", "type", "share", "sparsity", "zeros"].map(heading))),
    element("tbody", {}, ...rows.map((row) => row.row)),
  );

  function curve() {
    return curves[Number(method.select.value)];
  }

  /** A method at the level nearest to a sparsity; without one, where the slider is. */
  function show(its, sparsity = null) {
    const { points } = its;
    const at = sparsity ?? Number(level.dataset.sparsity ?? points[0].sparsity);
    method.select.value = curves.indexOf(its);
    level.max = points.length - 1;
    level.value = points.indexOf(nearest(points, at));
    draw();
  }

  function draw() {
    const point = curve().points[Number(level.value)];
    level.dataset.sparsity = point.sparsity;
    const text = shown(`${percent(point.sparsity)} sparse, ${metric.label} ${valueText(metric, point.value)}`);
    where.textContent = text;
    level.setAttribute("aria-valuetext", text);
    rows.forEach((row, place) => fillRow(row, point.zeros?.[place], data.layers.parameters[place]));
  }

  const controls = element("p", { class: "controls" }, method.row, " ", element("label", {}, "Level ", level), " ", where);
  const scroll = element(
    "div",
    { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Sparsity of each layer" },
    table,
  );
  const view = element("div", {}, element("h3", {}, "Layers at any level"), controls, scroll);
  sortable(table, "layers");
  return { view, show };
}

function heading(name) {
  const isNumber = name === "sparsity" || name === "zeros";
  return element("th", { scope: "col", class: isNumber ? "number" : null }, name);
}

function layerRow(name, kind) {
  const bar = element("span", { class: "bar" });
  const cells = { sparsity: element("td", { class: "number" }), zeros: element("td", { class: "number" }) };
  const track = element("td", { class: "track", "data-value": 0 }, bar);
  return { row: element("tr", {}, element("td", {}, name), element("td", {}, kind), track, cells.sparsity, cells.zeros), bar, track, cells };
}

function fillRow({ bar, track, cells }, zeros, parameters) {
  const isKnown = zeros !== undefined && zeros !== null;
  const share = isKnown ? zeros / parameters : 0;
  bar.style.width = `${100 * share}%`;
  track.dataset.value = share;
  cells.sparsity.textContent = isKnown ? shown(percent(share)) : "\u2013";
  cells.zeros.textContent = isKnown ? `${zeros.toLocaleString("en")} of ${parameters.toLocaleString("en")}` : "\u2013";
}
