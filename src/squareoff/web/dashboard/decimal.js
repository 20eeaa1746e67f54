// Exact decimals as whole numbers: prices and money come as text and are never floats here.

const PLACES = 16n; // more than any broker's average carries
const ONE = 10n ** PLACES;

/** Return the decimal in `text` as a whole number of 10^-16. */
export function parse(text) {
  const negative = text.startsWith("-");
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  const digits = fraction.padEnd(Number(PLACES), "0").slice(0, Number(PLACES));
  const value = BigInt(whole) * ONE + BigInt(digits);
  return negative ? -value : value;
}

/** Return a value as plain text with at least two decimals, as the API writes it. */
export function text(value) {
  const size = value < 0n ? -value : value;
  const fraction = (size % ONE).toString().padStart(Number(PLACES), "0");
  const kept = fraction.replace(/0+$/, "").padEnd(2, "0");
  return `${value < 0n ? "-" : ""}${size / ONE}.${kept}`;
}

/** Return `value / divisor` with `places` decimals, halves to the even neighbour. */
export function divide(value, divisor, places) {
  const step = 10n ** (PLACES - BigInt(places)) * BigInt(divisor);
  const size = value < 0n ? -value : value;
  let whole = size / step;
  const rest = (size % step) * 2n;
  if (rest > step || (rest === step && whole % 2n === 1n)) whole += 1n;
  const rounded = whole * 10n ** (PLACES - BigInt(places));
  return value < 0n ? -rounded : rounded;
}

/** Return the value as a float, for the places of a drawing only. */
export function approximate(value) {
  return Number(value / 10n ** 8n) / 1e8;
}
