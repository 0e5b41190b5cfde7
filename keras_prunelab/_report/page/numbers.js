// Numbers as Python prints them, so that a sentence made on the page is the one that the report would have.

/** With so many decimals; of two that are equally near the even one, where toFixed takes the larger. */
function fixed(value, decimals) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const text = value.toFixed(decimals);
  const exact = Math.abs(value).toFixed(100); // all digits of the fraction
  const end = exact.indexOf(".") + 1 + decimals;
  const isTie = /^50*$/.test(exact.slice(end));
  if (!isTie || Number(text.at(-1)) % 2 === 0) return text;
  return (value < 0 ? "-" : "") + exact.slice(0, end).replace(/\.$/, "");
}

/** With so many significant digits, without trailing zeros, and with an exponent where it is very large or small. */
function general(value, digits) {
  if (!Number.isFinite(value)) return fixed(value, 0);
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  if (exponent >= -4 && exponent < digits) return withoutZeros(fixed(value, digits - 1 - exponent));
  const unit = 10 ** Math.abs(exponent);
  const mantissa = exponent < 0 ? value * unit : value / unit;
  const power = String(Math.abs(exponent)).padStart(2, "0");
  return `${withoutZeros(fixed(mantissa, digits - 1))}e${exponent < 0 ? "-" : "+"}${power}`;
}

function withoutZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A fraction in percent; what is less than all is never printed as all. */
function percent(fraction, decimals = 1) {
  if (100 * fraction < 100 - 1e-6) {
    while (Number(fixed(100 * fraction, decimals)) === 100) decimals += 1;
  }
  return `${fixed(100 * fraction, decimals)} %`;
}

/** A value of a measure. */
function valueText(measure, value) {
  if (Number.isNaN(value)) return measure.isFraction ? "nan %" : "nan";
  return measure.isFraction ? percent(value, 2) : general(value, 4);
}

/** A difference of two values of a measure. */
function differenceText(measure, value) {
  return measure.isFraction ? `${fixed(100 * value, 2)} points` : general(value, 2);
}
