// When the restaurant is open: a row for each day of the week, and days that are not like their weekday.

import { unique } from "./dialog.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { box, flawed, line, panel } from "./restaurant_fields.js";
import { language, t } from "./words.js";

const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const ZONE = "America/Bogota";
const w = (key, values) => t(`restaurant.${key}`, values);

/** The day's name as the reader calls it; the first of January 2024 was a Monday. */
function dayName(n) {
  const name = new Intl.DateTimeFormat(language(), { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + n));
  return name.charAt(0).toLocaleUpperCase(language()) + name.slice(1);
}

/** `9:00` is a time, too; the browser's field wants two digits. */
const padded = (time) => (/^\d:\d\d$/.test(time ?? "") ? `0${time}` : time ?? "");

/** Open or not, from when to when. `called` is what listeners hear before each field's own name. */
function times(names, called, hours) {
  const name = (words) => `${called()}: ${words}`;
  const active = h("input", { type: "checkbox", checked: Boolean(hours?.active) });
  const open = h("input", { class: "input", type: "time", value: padded(hours?.open) });
  const close = h("input", { class: "input", type: "time", value: padded(hours?.close) });
  const night = h("span", { class: "small muted night" });
  const dress = () => {
    open.disabled = close.disabled = !active.checked;
    active.setAttribute("aria-label", name(w("hours.open")));
    open.setAttribute("aria-label", name(w("hours.from")));
    close.setAttribute("aria-label", name(w("hours.to")));
    fill(night, active.checked && open.value && close.value && close.value <= open.value && w("hours.night"));
  };
  for (const input of [active, open, close]) input.addEventListener("input", dress);
  dress();
  const read = () => ({ ...hours, active: active.checked, open: open.value, close: close.value });
  return {
    parts: [h("label", { class: "check" }, active, h("span", { "aria-hidden": "true" }, w("hours.open"))), open, h("span", { class: "muted", "aria-hidden": "true" }, "–"), close, night],
    names, input: active, read, dress,
    set(other) {
      [active.checked, open.value, close.value] = [other.active, other.open, other.close];
      dress();
    },
    flaw: () => (active.checked && !(open.value && close.value) ? w("flaw.hours") : null),
  };
}

export function hoursPart(settings) {
  const given = settings.businessHours;
  const enabled = box({ label: w("hours.count"), hint: w("hours.count.hint"), names: ["businessHours.enabled", "businessHours.schedule", "businessHours.exceptions", "businessHours"], value: given?.enabled, onchange: () => dress() });
  const zones = h("datalist", { id: unique("zones") }, (Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => h("option", { value: zone })));
  const zone = line({ label: w("hours.zone"), hint: w("hours.zone.hint"), names: ["businessHours.timezone"], value: given?.timezone ?? ZONE, list: zones.id, autocapitalize: "none", required: true });
  const week = DAYS.map((day, n) => {
    const row = times([`businessHours.schedule.${day}`], () => dayName(n), given?.schedule?.[day]);
    const copy = () => week.forEach(({ row: other }) => other !== row && other.set(row.read()));
    const words = w("hours.copy.of", { day: dayName(n) });
    const one = flawed(row.names, row.input, h("div", { class: "hours-row", "data-day": day }, h("strong", null, dayName(n)), row.parts,
      h("button", { type: "button", class: "button small quiet", "aria-label": words, title: words, onclick: copy }, icon("copy"), h("span", null, w("hours.copy")))));
    return { day, row, field: { ...one, flaw: row.flaw } };
  });
  const unlike = [];
  const place = h("div", { class: "hours-rows" });

  function add(date, hours) {
    const input = h("input", { class: "input", type: "date", value: date ?? "", "aria-label": w("hours.date") });
    const row = times([], () => input.value || w("hours.date"), hours ?? { active: false, open: "", close: "" });
    input.addEventListener("change", row.dress);
    const away = () => {
      unlike.splice(unlike.indexOf(one), 1);
      one.field.node.remove();
      more.focus();
    };
    const drop = w("hours.drop");
    const shown = flawed([], input, h("div", { class: "hours-row unlike" }, input, row.parts,
      h("button", { type: "button", class: "button small quiet icon-only", "aria-label": drop, title: drop, onclick: away }, icon("cross"))));
    // The server names it by its date, whatever that is by then.
    const field = { ...shown, get names() { return [`businessHours.exceptions.${input.value}`]; }, flaw: () => (input.value === "" ? "is required" : row.flaw()) };
    const one = { input, row, field };
    unlike.push(one);
    place.append(shown.node);
    return one;
  }

  const more = h("button", { type: "button", class: "button small", onclick: () => add(null).input.focus() }, icon("plus"), w("hours.add"));
  for (const [date, hours] of Object.entries(given?.exceptions ?? {})) add(date, hours);
  const folded = h("div", { class: "hours" },
    h("div", { class: "hours-rows" }, week.map(({ field }) => field.node)), zone.node, zones,
    h("div", { class: "field" }, h("h4", null, w("hours.unlike")), h("p", { class: "hint" }, w("hours.unlike.hint")), place, h("div", null, more)));
  const dress = () => { folded.hidden = !enabled.read(); };
  dress();

  const read = () => {
    if (!given && !enabled.read()) return { businessHours: null };
    const schedule = Object.fromEntries(week.map(({ day, row }) => [day, row.read()]));
    return {
      businessHours: {
        ...given, enabled: enabled.read(), timezone: zone.read(), schedule,
        exceptions: Object.fromEntries(unlike.map(({ input, row }) => [input.value, row.read()])),
      },
    };
  };
  return {
    node: panel(w("hours"), enabled.node, folded),
    // Those that are out of sight have no say.
    get fields() {
      return [enabled, ...(enabled.read() ? [...week, ...unlike].map(({ field }) => field).concat(zone) : [])];
    },
    read,
  };
}
