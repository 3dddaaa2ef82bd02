// Plots: how many messages went through, as two lines in an SVG of our own for the eye, and as a table for those who listen.

import { h, set, svg } from "./dom.js";
import { clockTime, number } from "./format.js";
import { unique } from "./dialog.js";
import { t } from "./words.js";

/** The drawing's own units; the style stretches it. */
const WIDTH = 600;
const HEIGHT = 100;

/** So many rows a table has at the most. */
const ROWS = 12;

const SERIES = ["received", "sent"];

/**
 * A flow's messages a minute. `flow` has a list of counts for each of its series, the oldest first, and says how many `seconds` a count is of;
 * `end` is when the last of them ends, in milliseconds.
 */
export function plot(title, flow, end) {
  const id = unique("plot");
  const rates = SERIES.map((name) => flow[name].map((count) => (count * 60) / flow.seconds));
  const top = ceiling(Math.max(0, ...rates.flat()));
  const picture = svg([`M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`, ...rates.map((values) => line(values, top))], {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "plot-lines",
  });
  ["grid", ...SERIES].forEach((name, n) => set(picture.children[n], { class: `plot-${name}` }));
  const totals = SERIES.map((name) => flow[name].reduce((sum, count) => sum + count, 0));
  const slots = flow.received.length;
  return h("figure", { class: "plot", "aria-labelledby": id },
    h("figcaption", null, h("h3", { id }, title), SERIES.map((name, n) =>
      h("span", { class: "plot-key" }, h("span", { class: `plot-mark plot-${name}`, "aria-hidden": "true" }), t(`overview.${name}`), " ", h("strong", { class: "numbers" }, number(totals[n]))))),
    h("div", { class: "plot-drawing", "aria-hidden": "true" }, h("span", { class: "numbers" }, t("overview.rate", { n: number(top) })), picture),
    h("div", { class: "plot-times numbers", "aria-hidden": "true" }, h("span", null, clockTime(new Date(end - slots * flow.seconds * 1000))), h("span", null, t("overview.now"))),
    h("div", { class: "hidden-text" }, table(title, flow, end)));
}

/** The next round number. */
function ceiling(most) {
  if (most <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= most) ?? most;
}

/** Values from left to right. */
function line(values, top) {
  const step = WIDTH / Math.max(1, values.length - 1);
  return values.map((value, n) => `${n === 0 ? "M" : "L"}${round(n * step)} ${round(HEIGHT - (value / top) * HEIGHT)}`).join("");
}

function round(value) {
  return Math.round(value * 10) / 10;
}

/** The counts, neighbours together: nobody listens to a hundred numbers. */
function table(title, flow, end) {
  const slots = flow.received.length;
  const together = Math.max(1, Math.ceil(slots / ROWS));
  const rows = [];
  for (let first = 0; first < slots; first += together) {
    const begin = new Date(end - (slots - first) * flow.seconds * 1000);
    const sums = SERIES.map((name) => flow[name].slice(first, first + together).reduce((sum, count) => sum + count, 0));
    rows.push(h("tr", null, h("th", { scope: "row" }, clockTime(begin)), sums.map((sum) => h("td", null, number(sum)))));
  }
  const column = (words) => h("th", { scope: "col" }, t(words));
  return h("table", null, h("caption", null, title),
    h("thead", null, h("tr", null, column("overview.from"), SERIES.map((name) => column(`overview.${name}`)))),
    h("tbody", null, rows));
}
