// How values look: one way for each kind, figures aligned, times in IST.

import * as decimal from "./decimal.js";

export const NONE = "–";
const MINUS = "−";
const PAISE = new Intl.NumberFormat("en-IN", {
  minimumFractionDigits: 2, maximumFractionDigits: 2,
});
const PRICE = new Intl.NumberFormat("en-IN", {
  minimumFractionDigits: 2, maximumFractionDigits: 4,
});
const WHOLE = new Intl.NumberFormat("en-IN");
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});
const DAY = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Kolkata", day: "2-digit", month: "short",
});

/**
 * A price as text: `"25974.90"` is 25,974.90, and a currency's `"83.0025"` stays 83.0025. What is
 * finer than any tick, an average, is shown to the paisa.
 */
export function price(text) {
  if (text === null || text === undefined) return NONE;
  const value = decimal.parse(text);
  const onGrid = decimal.divide(value, 1, 4);
  return PRICE.format(decimal.text(onGrid === value ? value : decimal.divide(value, 1, 2)));
}

/** An amount of money with its sign: +1,250.00 or −310.50; `value` is an exact decimal. */
export function money(value) {
  if (value === null || value === undefined) return NONE;
  const paise = decimal.divide(value, 1, 2);
  const size = PAISE.format(decimal.text(paise < 0n ? -paise : paise));
  if (paise === 0n) return size;
  return (paise < 0n ? MINUS : "+") + size;
}

/** Whether money is gain, loss or neither: `up`, `down`, `even`. */
export function direction(value) {
  if (value === null || value === undefined) return "even";
  const paise = decimal.divide(value, 1, 2);
  if (paise === 0n) return "even";
  return paise < 0n ? "down" : "up";
}

/** A distance in points and percent: 12.40 (0.05 %); of a currency 0.0025 (0.00 %). */
export function distance(points, percent) {
  return `${PRICE.format(points)} (${PAISE.format(percent)} %)`.replaceAll("-", MINUS);
}

/** A whole number with separators. */
export function whole(number) {
  return WHOLE.format(number).replace("-", MINUS);
}

/** The time of day in IST of an ISO instant: 10:31:05. */
export function clock(iso) {
  return iso ? CLOCK.format(new Date(iso)) : NONE;
}

/** The same with its day where that is not the day in IST of `now`: 14 Sept 10:31:05. */
export function clockAsOf(iso, now) {
  const time = clock(iso);
  if (!iso || DAY.format(new Date(iso)) === DAY.format(now)) return time;
  return `${DAY.format(new Date(iso))} ${time}`;
}

/** Day and time to the millisecond, for a journal: it may span many days. */
export function clockFine(iso) {
  const milliseconds = String(new Date(iso).getUTCMilliseconds()).padStart(3, "0");
  return `${DAY.format(new Date(iso))} ${clock(iso)}.${milliseconds}`;
}

/** A span of time in words as short as they can be: 4 s, 3 min 5 s, 2 h 10 min. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** A code in words: `stop_loss` is "stop loss", `PART_FILLED` is "part filled". */
export function words(code) {
  return code.toLowerCase().replaceAll("_", " ");
}
