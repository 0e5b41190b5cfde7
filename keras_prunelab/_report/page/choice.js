// The rule of `SweepResult.choose(max_drop=...)`, with its sentences.

const ROUNDING = 1e-9; // 0.98 is within 0.01 of 0.99, whatever the binary fractions say

/**
 * The sparsest level of those from which down to the lowest every one passes, of all curves.
 *
 * A level passes where its loss exceeds the allowed one by one standard error of the difference at most.
 *
 * @param points {curve, sparsity, target, value, error, std, seeds} in the order of the sweep's table.
 * @param metric {label, isFraction, higherIsBetter, dense}.
 * @param allowed the loss: a fraction of one, or of a metric that is better when lower, relative to the dense value.
 * @returns {point, reason}; point is null where no level passes.
 */
function choose(points, metric, allowed) {
  if (!points.length) {
    return none("The sweep was stopped before its first point: there is nothing to choose from.");
  }
  const limit = metric.higherIsBetter ? metric.dense - allowed : metric.dense + Math.abs(metric.dense) * allowed;
  const condition = `is within ${allowance(metric, allowed)} of the dense ${valueText(metric, metric.dense)}`;
  const ascending = sortedBy(points, (point) => [point.sparsity, point.target]);
  const { passing, lucky } = divide(ascending, metric, limit);
  if (!passing.length) return none(whyNone(ascending, lucky, metric, condition));
  const point = last(sortedBy(passing, (each) => [each.sparsity, goodness(metric, each.value)]));
  const itsCurve = points.filter((each) => each.curve === point.curve);
  return { point, reason: reason(point, itsCurve, lucky, metric, limit, condition) };
}

function none(text) {
  return { point: null, reason: text };
}

/** The levels up to the first of their curve that does not pass, and those that pass again beyond it. */
function divide(ascending, metric, limit) {
  const broken = new Set();
  const passing = [];
  const lucky = [];
  for (const point of ascending) {
    if (!passes(point, metric, limit)) broken.add(point.curve);
    else (broken.has(point.curve) ? lucky : passing).push(point);
  }
  return { passing, lucky };
}

function passes(point, metric, limit) {
  const error = Number.isNaN(point.error) ? 0 : point.error;
  return meets(metric, metric.higherIsBetter ? point.value + error : point.value - error, limit);
}

function meets(metric, value, limit) {
  const slack = ROUNDING * Math.max(1, Math.abs(limit));
  return metric.higherIsBetter ? value >= limit - slack : value <= limit + slack;
}

/** Larger for better values; the least where there is none. */
function goodness(metric, value) {
  if (Number.isNaN(value)) return -Infinity;
  return metric.higherIsBetter ? value : -value;
}

function allowance(metric, allowed) {
  if (!metric.higherIsBetter) return percent(allowed);
  return `${general(100 * allowed, 6)} ${allowed === 0.01 ? "point" : "points"}`;
}

function whyNone(ascending, lucky, metric, condition) {
  if (!lucky.length) {
    const best = last(sortedBy(ascending, (each) => [goodness(metric, each.value), each.sparsity]));
    return (
      `The ${metric.label} of no tested level ${condition}. The best is ${best.curve} at ` +
      `${percent(best.sparsity)} with ${valueText(metric, best.value)}. Allow more, or test lower sparsities.`
    );
  }
  return (
    `There is no level up to which the ${metric.label} ${condition} at every tested level. ` +
    `${named(lucky, metric)} would, but sparser than a level that does not: that is luck, and is not chosen. ` +
    "Allow more, or test lower sparsities."
  );
}

function reason(point, itsCurve, lucky, metric, limit, condition) {
  const error = meets(metric, point.value, limit)
    ? ""
    : ` within one standard error of their difference, ${differenceText(metric, point.error)}`;
  const spread =
    point.seeds > 1
      ? ` Values are means over ${point.seeds} seeds; the standard deviation here is ` +
        `${differenceText(metric, point.std)}.`
      : "";
  const sparser = sortedBy(itsCurve.filter((each) => each.sparsity > point.sparsity), (each) => [each.sparsity]);
  const again = lucky.filter((each) => each.curve === point.curve);
  return (
    `${point.curve} at ${percent(point.sparsity)} is the sparsest level whose ${metric.label}, ` +
    `${valueText(metric, point.value)}, ${condition}${error}${whatNext(sparser, metric)}.` +
    `${whatLuck(sparser, again, metric)}${spread}`
  );
}

/** What happens one level further on the same curve. */
function whatNext(sparser, metric) {
  if (!sparser.length) return "; it is the sparsest level that was tested";
  const verb = metric.higherIsBetter ? "falls" : "rises";
  return `; the next level, ${percent(sparser[0].sparsity)}, ${verb} to ${valueText(metric, sparser[0].value)}`;
}

/** The levels of the same curve beyond the range that pass again. */
function whatLuck(sparser, again, metric) {
  if (!again.length) return "";
  return (
    ` The curve is not monotonic: ${named(again, metric)} ${again.length === 1 ? "meets" : "meet"} the condition ` +
    `again, but ${percent(sparser[0].sparsity)} before it does not: that is luck, and is not chosen.`
  );
}

function named(points, metric) {
  const texts = points.map((each) => `${each.curve} at ${percent(each.sparsity)} (${valueText(metric, each.value)})`);
  return texts.slice(0, 3).join(", ") + (texts.length > 3 ? ` and ${texts.length - 3} more` : "");
}

/** By several numbers, ascending; equal ones stay in their order. */
function sortedBy(list, keys) {
  const compare = (a, b) => {
    for (const [place, key] of keys(a).entries()) {
      const other = keys(b)[place];
      if (key !== other) return key < other ? -1 : 1;
    }
    return 0;
  };
  return [...list].sort(compare);
}

function last(list) {
  return list[list.length - 1];
}
