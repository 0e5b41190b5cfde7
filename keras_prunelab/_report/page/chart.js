// The curves of a sweep, drawn by uPlot: values under the pointer, zoom and pan, and the allowed loss as a line to drag.

const CURVE_COLOURS = 6;
const MAX_MARKERS = 40; // points on a curve up to which each has a marker
const ZOOM = 1.6;

/** Whether a curve is dashed: neighbours differ, and so do curves of one colour. */
function isDashed(number) {
  return (number + Math.floor(number / CURVE_COLOURS)) % 2 === 1;
}

/**
 * A chart of some curves by one measure.
 *
 * @param curves [{name, points}], in the order of the sweep; points ascend.
 * @param calls {pointed(sparsity), stepped(curve, point), limited(value), looked(from, to)}: told of the sparsity under
 *   the pointer (null for none), of the point that keys went to, of a dragged limit, and of the sparsities in sight.
 */
class Chart {
  constructor(host, curves, calls) {
    this.host = host;
    this.curves = curves;
    this.calls = calls;
    this.shown = new Set(curves);
    this.cursor = null; // {curve, place}, moved by keys
    this.handle = element("div", { class: "limit", "aria-hidden": "true", title: "Drag the allowed loss" });
    this.handle.addEventListener("pointerdown", (event) => this.#dragLimit(event));
    host.addEventListener("keydown", (event) => this.#press(event));
    host.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.plot?.setSize(this.#size())).observe(host);
  }

  /** Draw: which measure, which point is marked, and the value that is just allowed (null for none). */
  draw(measure, marked, limit) {
    const range = this.plot && [this.plot.scales.x.min, this.plot.scales.x.max];
    this.measure = measure;
    this.marked = marked;
    this.limit = limit;
    this.plot?.destroy();
    this.plot = new uPlot(this.#options(), this.#data(), this.host);
    this.plot.over.append(this.handle);
    if (range) this.plot.setScale("x", { min: range[0], max: range[1] });
    this.#placeHandle();
  }

  /** Another mark and limit on the same curves. */
  mark(marked, limit) {
    this.marked = marked;
    this.limit = limit;
    this.plot.redraw(false);
    this.#placeHandle();
  }

  show(curve, isShown) {
    if (isShown) this.shown.add(curve);
    else this.shown.delete(curve);
  }

  /** Zoom about the middle, or about a sparsity; above 1 is closer. */
  zoom(factor, about = null) {
    const { min, max } = this.plot.scales.x;
    const middle = about ?? (min + max) / 2;
    this.#look(middle - (middle - min) / factor, middle + (max - middle) / factor);
  }

  /** Move by a share of what is seen. */
  pan(share) {
    const { min, max } = this.plot.scales.x;
    const way = share * (max - min);
    const [low, high] = this.#extent();
    const step = Math.min(Math.max(way, low - min), high - max);
    this.#look(min + step, max + step);
  }

  reset() {
    this.#look(...this.#extent());
  }

  #look(min, max) {
    const [low, high] = this.#extent();
    const least = (high - low) / 500;
    if (max - min >= least) this.plot.setScale("x", { min: Math.max(min, low), max: Math.min(max, high) });
  }

  /** The lowest and the highest sparsity, with a little room. */
  #extent() {
    const sparsities = this.curves.flatMap(({ points }) => points.map((point) => point.sparsity));
    const [low, high] = [Math.min(...sparsities), Math.max(...sparsities)];
    const room = 0.02 * (high - low || 0.1);
    return [low - room, high + room];
  }

  #size() {
    const width = Math.max(260, this.host.clientWidth);
    return { width, height: Math.round(Math.min(420, Math.max(260, 0.5 * width))) };
  }

  #data() {
    const tables = this.curves.map(({ points }) => [
      points.map((point) => point.sparsity),
      points.map((point) => (Number.isFinite(point.values[this.measure.key]) ? point.values[this.measure.key] : null)),
    ]);
    return uPlot.join(tables);
  }

  #options() {
    const ink = colour("--ink");
    const axis = { stroke: ink, grid: { stroke: colour("--faint"), width: 1 }, ticks: { stroke: colour("--faint") } };
    const inPercent = (_, ticks) => ticks.map((tick) => general(100 * tick, 6));
    const plain = (_, ticks) => ticks.map((tick) => general(tick, 6));
    const unit = this.measure.isFraction ? " (%)" : this.measure.unit ? ` (${this.measure.unit})` : "";
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { drag: { x: true, y: false, dist: 5 }, points: { size: 9 } },
      scales: {
        x: { time: false, range: (_, min, max) => (max > min ? [min, max] : this.#extent()) },
        y: { range: (_, min, max) => this.#height(min, max) },
      },
      axes: [
        { ...axis, values: inPercent, label: "sparsity (%)", labelSize: 24 },
        { ...axis, values: this.measure.isFraction ? inPercent : plain, label: this.measure.label + unit, labelSize: 24, size: 60 },
      ],
      series: [{}, ...this.curves.map((curve, number) => this.#series(curve, number))],
      hooks: {
        ready: [(plot) => plot.setScale("x", { min: this.#extent()[0], max: this.#extent()[1] })],
        draw: [(plot) => this.#drawMarks(plot, ink)],
        setCursor: [(plot) => this.#point(plot)],
        setScale: [(plot, key) => this.#scaled(plot, key)],
      },
    };
  }

  #series(curve, number) {
    const stroke = colour(`--curve-${1 + (number % CURVE_COLOURS)}`);
    return {
      label: curve.name,
      show: this.shown.has(curve),
      stroke,
      width: 2,
      dash: isDashed(number) ? [8, 3] : undefined,
      spanGaps: true,
      points: { show: curve.points.length <= MAX_MARKERS, size: 6, fill: stroke },
    };
  }

  /** From the worst to the best value in sight, the dense network's with them. */
  #height(min, max) {
    const dense = this.measure.dense;
    const low = Number.isFinite(dense) ? Math.min(min ?? dense, dense) : min ?? 0;
    const high = Number.isFinite(dense) ? Math.max(max ?? dense, dense) : max ?? 1;
    const room = 0.06 * (high - low || Math.abs(high) || 1);
    return [low - room, high + room];
  }

  #drawMarks(plot, ink) {
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.strokeStyle = ink;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    if (Number.isFinite(this.measure.dense)) this.#drawLine(plot, this.measure.dense, [2, 4]);
    if (this.limit !== null) this.#drawLine(plot, this.limit, [7, 5]);
    if (this.marked) this.#drawRing(plot, this.marked);
    ctx.restore();
  }

  #drawLine(plot, value, dash) {
    const { ctx } = plot;
    const y = plot.valToPos(value, "y", true);
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(plot.bbox.left, y);
    ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
    ctx.stroke();
  }

  #drawRing(plot, point) {
    const { ctx } = plot;
    const value = point.values[this.measure.key];
    if (!Number.isFinite(value)) return;
    ctx.setLineDash([]);
    ctx.beginPath();
    const [x, y] = [plot.valToPos(point.sparsity, "x", true), plot.valToPos(value, "y", true)];
    ctx.arc(x, y, 7 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
  }

  #scaled(plot, key) {
    if (key === "x") this.calls.looked(plot.scales.x.min, plot.scales.x.max);
    this.#placeHandle();
  }

  #placeHandle() {
    if (!this.plot) return;
    const top = this.limit === null ? -1 : this.plot.valToPos(this.limit, "y");
    this.handle.hidden = !(top >= 0 && top <= this.plot.over.clientHeight);
    this.handle.style.top = `${top}px`;
  }

  #dragLimit(event) {
    event.preventDefault();
    event.stopPropagation();
    const top = this.plot.over.getBoundingClientRect().top;
    const move = ({ clientY }) => this.calls.limited(this.plot.posToVal(clientY - top, "y"));
    const end = () => {
      this.handle.removeEventListener("pointermove", move);
      this.handle.removeEventListener("pointerup", end);
      this.handle.removeEventListener("pointercancel", end);
    };
    this.handle.setPointerCapture(event.pointerId);
    this.handle.addEventListener("pointermove", move);
    this.handle.addEventListener("pointerup", end);
    this.handle.addEventListener("pointercancel", end);
    this.handle.addEventListener("mousedown", (press) => press.stopPropagation(), { once: true });
  }

  /** Tell of the sparsity under the pointer. */
  #point(plot) {
    const { left } = plot.cursor;
    if (left === null || left < 0) this.calls.pointed(null);
    else this.calls.pointed(plot.posToVal(left, "x"));
  }

  #wheel(event) {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      const left = event.clientX - this.plot.over.getBoundingClientRect().left;
      this.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, this.plot.posToVal(left, "x"));
    } else if (Math.abs(sideways) > 0) {
      this.pan(Math.sign(sideways) * 0.1);
    } else return; // the page scrolls
    event.preventDefault();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowRight: () => (event.shiftKey ? this.pan(0.2) : this.#step(1)),
      ArrowLeft: () => (event.shiftKey ? this.pan(-0.2) : this.#step(-1)),
      ArrowUp: () => this.#change(-1),
      ArrowDown: () => this.#change(1),
      "+": () => this.zoom(ZOOM),
      "=": () => this.zoom(ZOOM),
      "-": () => this.zoom(1 / ZOOM),
      0: () => this.reset(),
      Escape: () => this.reset(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  /** To a neighbouring point of the same curve. */
  #step(way) {
    const curves = this.curves.filter((curve) => this.shown.has(curve));
    if (!curves.length) return;
    if (!this.cursor || !this.shown.has(this.cursor.curve)) this.cursor = { curve: curves[0], place: way > 0 ? -1 : 1 };
    const { points } = this.cursor.curve;
    this.cursor.place = Math.min(Math.max(this.cursor.place + way, 0), points.length - 1);
    this.#goTo(points[this.cursor.place]);
  }

  /** To the nearest point of another curve. */
  #change(way) {
    const curves = this.curves.filter((curve) => this.shown.has(curve));
    if (!curves.length) return;
    if (!this.cursor || !this.shown.has(this.cursor.curve)) return this.#step(1);
    const next = curves[(curves.indexOf(this.cursor.curve) + way + curves.length) % curves.length];
    const here = this.cursor.curve.points[this.cursor.place].sparsity;
    const point = nearest(next.points, here);
    this.cursor = { curve: next, place: next.points.indexOf(point) };
    this.#goTo(point);
  }

  #goTo(point) {
    const { min, max } = this.plot.scales.x;
    if (point.sparsity < min || point.sparsity > max) {
      const half = (max - min) / 2;
      this.#look(point.sparsity - half, point.sparsity + half);
    }
    const value = point.values[this.measure.key];
    const top = Number.isFinite(value) ? this.plot.valToPos(value, "y") : 0;
    this.plot.setCursor({ left: this.plot.valToPos(point.sparsity, "x"), top });
    this.calls.stepped(this.cursor.curve, point);
  }
}

/** The point nearest to a sparsity. */
function nearest(points, sparsity) {
  const distance = (point) => Math.abs(point.sparsity - sparsity);
  return points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
}
