// The part of the page that is explored: curves, the allowed loss and its choice, and the layers at any level.

/** Fill the section with what the sweep has. */
function explore(section, data) {
  const curves = curvesOf(data);
  const [metric] = data.measures;
  const all = pointsOf(data, curves);
  const state = { measure: metric, marked: null, allowed: null };
  const layers = layerView(data, curves, metric);
  const range = element("output", { "aria-label": "Sparsities in sight" });
  const readout = element("p", { class: "readout", role: "status" });
  const host = element("div", {
    class: "chart",
    tabindex: 0,
    role: "application",
    "aria-label": "Curves of the sweep",
    "aria-describedby": "keys",
  });
  const methods = methodList(curves, (curve, isShown) => {
    chart.show(curve, isShown);
    chart.draw(state.measure, state.marked, limit());
    decide();
  });
  const chart = new Chart(host, curves, {
    pointed: (sparsity) => methods.values(state.measure, sparsity),
    stepped: (curve, point) => {
      readout.textContent = shown(pointText(curve, point, state.measure));
    },
    limited: (value) => allowed.set(lossOf(metric, value)),
    looked: (from, to) => {
      const ends = [Math.max(from, 0), Math.min(to, 1)].map((each) => `${fixed(100 * each, 1)} %`);
      range.textContent = shown(ends.join(" to "));
    },
  });
  const measures = selection("Measure", data.measures.map((each) => each.label), (place) => {
    state.measure = data.measures[place];
    chart.draw(state.measure, state.marked, limit());
    methods.values(state.measure, null);
  });
  const allowed = data.chooses ? allowedLoss(metric, (value) => {
    state.allowed = value;
    decide();
  }) : null;
  const reasonText = element("p", { class: "reason", "aria-live": "polite" });
  const ownChoice = element("p", { class: "note" });

  function limit() {
    return state.measure === metric && state.allowed !== null ? limitOf(metric, state.allowed) : null;
  }

  /** Choose among the methods that are shown, and let everything follow. */
  function decide() {
    if (state.allowed === null) return;
    const points = all.filter((point) => chart.shown.has(point.of));
    const found = points.length ? choose(points, metric, state.allowed) : none("No method is shown.");
    state.marked = found.point;
    reasonText.textContent = shown(found.reason);
    ownChoice.textContent = shown(whatTheReportChooses(data.choice, found.point));
    chart.mark(state.marked, limit());
    if (found.point) layers?.show(found.point.of, found.point.sparsity);
  }

  section.append(
    element("h2", { id: "explore" }, "Explore the sweep"),
    element("div", { class: "controls" }, measures.row, methods.list),
    host,
    zoomButtons(chart, range),
    readout,
    ...(allowed ? [allowed.row, reasonText, ownChoice] : []),
    ...(layers ? [layers.view] : []),
  );
  section.hidden = false;
  chart.draw(metric, null, null);
  methods.values(metric, null);
  if (allowed) allowed.set(firstLoss(all, metric, data.choice, allowed));
  else layers?.show(curves[0]);
  return () => chart.draw(state.measure, state.marked, limit());
}

/** The methods, each with its points in ascending order. */
function curvesOf(data) {
  return data.curves.map((name) => ({ name, points: [] }));
}

/** All points in the order of the table; each knows its curve. */
function pointsOf(data, curves) {
  const { points, measures } = data;
  const number = (value) => (value === null ? NaN : Number(value)); // "Infinity" too
  const all = points.curve.map((of, place) => {
    const values = Object.fromEntries(measures.map(({ key }) => [key, number(points.values[key][place])]));
    return {
      of: curves[of],
      curve: curves[of].name,
      sparsity: points.sparsity[place],
      target: points.target[place],
      value: values[measures[0].key],
      error: number(points.error[place]),
      std: points.std[place],
      seeds: points.seeds[place],
      zeros: data.layers?.zeros[place],
      values,
    };
  });
  for (const point of sortedBy(all, (each) => [each.sparsity])) point.of.points.push(point);
  return all;
}

/** The methods with a box to switch each, its colour, and its value where the pointer is. */
function methodList(curves, onChange) {
  const rows = curves.map((curve, number) => {
    const box = element("input", { type: "checkbox", checked: true, change: () => onChange(curve, box.checked) });
    const value = element("span", { class: "value" });
    const swatch = element("span", { class: `swatch curve-${1 + (number % CURVE_COLOURS)}${isDashed(number) ? " dashed" : ""}` });
    return { curve, value, label: element("label", {}, box, swatch, ` ${curve.name} `, value) };
  });
  const dense = element("span", { class: "value" });
  const list = element("fieldset", {}, element("legend", {}, "Methods"), ...rows.map((row) => row.label), dense);
  const values = (measure, sparsity) => {
    const isKnown = Number.isFinite(measure.dense);
    dense.replaceChildren(
      ...(isKnown ? [element("span", { class: "swatch dotted" }), shown(` dense ${measureText(measure, measure.dense)}`)] : []),
    );
    for (const { curve, value } of rows) {
      const point = sparsity === null || !curve.points.length ? null : nearest(curve.points, sparsity);
      value.textContent = point ? shown(`${percent(point.sparsity)}: ${measureText(measure, point.values[measure.key])}`) : "";
    }
  };
  return { list, values };
}

function pointText(curve, point, measure) {
  return `${curve.name}, ${percent(point.sparsity)} sparse: ${measure.label} ${measureText(measure, point.values[measure.key])}`;
}

function measureText(measure, value) {
  if (!Number.isFinite(value)) return "\u2013";
  if (measure.unit === "bytes") return `${value.toLocaleString("en")} bytes`;
  return valueText(measure, value) + (measure.unit === "times" ? "\u00d7" : "");
}

/** A slider and a field for the loss that is allowed, in points or in percent of the dense value. */
function allowedLoss(metric, onChange) {
  const unit = metric.higherIsBetter ? "points" : "% of the dense value";
  const [most, step] = metric.isFraction ? [10, 0.05] : [100, 0.5];
  const range = { min: 0, max: most, step };
  const slider = element("input", { type: "range", id: "allowed", ...range, input: () => take(slider.value) });
  const field = element("input", { type: "number", "aria-label": `Allowed loss in ${unit}`, ...range, step: "any", input: () => take(field.value, field) });

  function take(text, source = null) {
    const value = Number(text);
    if (text === "" || !(value >= 0 && value < 100)) return;
    slider.value = value;
    slider.setAttribute("aria-valuetext", `${value} ${unit}`);
    if (source !== field) field.value = value;
    onChange(value / 100);
  }

  const row = element("p", { class: "controls" }, element("label", { for: "allowed" }, "Allowed loss "), slider, " ", field, ` ${unit}`);
  const set = (loss) => take(String(Number((Math.round(Math.min(Math.max(100 * loss, 0), most) / step) * step).toFixed(2))));
  return { row, set, most, step };
}

function limitOf(metric, allowed) {
  return metric.higherIsBetter ? metric.dense - allowed : metric.dense + Math.abs(metric.dense) * allowed;
}

function lossOf(metric, limit) {
  return metric.higherIsBetter ? metric.dense - limit : (limit - metric.dense) / Math.abs(metric.dense || 1);
}

/** The choice of the report, where the one on the page is another. */
function whatTheReportChooses(choice, point) {
  if (!choice || isAt(choice, point)) return "";
  return `The report chooses ${choice.curve} at ${percent(choice.sparsity)}.`;
}

function isAt(choice, point) {
  return point !== null && point.curve === choice.curve && point.target === choice.target;
}

/** The loss to begin with: one that gives the report's choice, a point where that does, or a point. */
function firstLoss(points, metric, choice, { most, step }) {
  const steps = [1, ...Array.from({ length: Math.round(most / step) + 1 }, (_, count) => Number((count * step).toFixed(2)))];
  const isChoice = (loss) => isAt(choice, choose(points, metric, loss / 100).point);
  const found = choice ? steps.find(isChoice) : undefined;
  return (found ?? 1) / 100;
}

/** Buttons for the pointer, with what is in sight, and how to do the same with mouse and keys. */
function zoomButtons(chart, range) {
  const calls = [
    ["\u2190", "Look further left", () => chart.pan(-0.2)],
    ["\u2192", "Look further right", () => chart.pan(0.2)],
    ["+", "Zoom in", () => chart.zoom(ZOOM)],
    ["\u2212", "Zoom out", () => chart.zoom(1 / ZOOM)],
    ["All", "Show all levels", () => chart.reset()],
  ];
  const help = [
    "Drag over the curves to zoom in; with Ctrl the wheel zooms, with Shift it moves. Drag the dashed line to allow more " +
      "or less.",
    "Keys: the arrows go from point to point and from method to method, with Shift they move; + and \u2212 zoom, 0 " +
      "shows all.",
  ];
  return element(
    "div",
    { class: "controls" },
    ...calls.map(([text, label, call]) => button(text, label, call)),
    range,
    element(
      "details",
      { class: "note" },
      element("summary", {}, "Mouse and keys"),
      element("div", { id: "keys" }, ...help.map((text) => element("p", {}, text))),
    ),
  );
}
