// The bot's texts: each with the default, what may stand in it, and how a customer would see it. An own text is one that is not the default.

import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { marked } from "./marks.js";
import { area, panel } from "./restaurant_fields.js";
import { t } from "./words.js";

const MOST = 1000;
const w = (key, values) => t(`restaurant.${key}`, values);
const NAMED = /\{([A-Za-z_]+)\}/g;

/** As the bot puts values in: an empty one takes the blank and the comma before it along, a line of nothing but empty ones goes. */
export function rendered(template, values) {
  const lines = [];
  for (const row of template.split("\n")) {
    let text = "";
    let from = 0;
    for (const found of row.matchAll(NAMED)) {
      text += row.slice(from, found.index);
      from = found.index + found[0].length;
      const value = values[found[1]];
      if (value === "") text = text.replace(/ +$/, "").replace(/,+$/, "");
      else text += value ?? found[0];
    }
    text = (text + row.slice(from)).trimEnd();
    const isGap = row.trim() === "" && lines.length > 0 && lines.at(-1) !== "";
    if (text !== "" || isGap) lines.push(text);
  }
  return lines.join("\n").trimEnd();
}

/** `told` is what the server says of all texts; `language()` and `restaurant()` what the form has by now. */
export function textsPart(settings, told, { language, restaurant }) {
  const entries = told.texts.map((text) => entry(text, settings.texts[text.name]));
  const find = h("input", { class: "input", type: "search", "aria-label": w("texts.find"), placeholder: w("texts.find"), autocomplete: "off", oninput: () => sift() });
  const only = h("input", { type: "checkbox", onchange: () => sift() });
  const none = h("p", { class: "muted", role: "status" });

  function sift() {
    const wanted = find.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const one of entries) {
      const hit = (!only.checked || one.own() !== null) && (wanted === "" || `${one.name} ${one.shown()}`.toLocaleLowerCase().includes(wanted));
      one.node.hidden = !hit;
      shown += hit ? 1 : 0;
    }
    fill(none, shown === 0 && w("texts.none"));
  }

  function entry({ name, default: defaults, placeholders, required, mayBeEmpty }, given) {
    let own = given ?? null;
    let built = null;
    const usual = () => defaults[language()] ?? defaults.es;
    const shown = () => own ?? usual();
    const state = h("span", { class: "chip ask", hidden: true }, w("texts.own"));
    const first = h("span", { class: "cut first" });
    const node = h("details", { class: "text", "data-text": name, ontoggle: () => node.open && build() },
      h("summary", null, first, state, h("code", { class: "small muted" }, name)));

    /** Most of them are never opened. */
    function build() {
      if (built) return built;
      const seen = h("div", { class: "written bubble-like", dir: "auto" });
      const hint = [required.length > 0 && w("texts.required", { names: required.map((one) => `{${one}}`).join(", ") }), mayBeEmpty && w("texts.empty")].filter(Boolean).join(" ");
      const field = area({ label: w("texts.text"), hint: hint || null, names: [`texts.${name}`], value: shown(), rows: 5, maxlength: MOST });
      const take = () => {
        own = field.input.value === usual() ? null : field.input.value;
        dress();
      };
      const put = (text) => {
        field.input.setRangeText(text, field.input.selectionStart, field.input.selectionEnd, "end");
        field.input.focus();
        field.input.dispatchEvent(new Event("input", { bubbles: true }));
      };
      const restore = h("button", { type: "button", class: "button small", onclick: () => {
        field.input.value = usual();
        field.input.dispatchEvent(new Event("input", { bubbles: true }));
        field.input.focus();
      } }, icon("refresh"), w("texts.restore"));
      field.input.addEventListener("input", take);
      node.append(h("div", { class: "body" }, field.node,
        placeholders.length > 0 && h("div", { class: "row", role: "group", "aria-label": w("texts.placeholders") }, h("span", { class: "small muted" }, w("texts.placeholders")),
          placeholders.map((one) => h("button", { type: "button", class: "button small mono", onclick: () => put(`{${one}}`) }, `{${one}}`))),
        h("div", { class: "field" }, h("p", { class: "label" }, w("texts.preview")), seen),
        h("div", null, restore)));
      built = { field, seen, restore };
      dress();
      return built;
    }

    function dress() {
      state.hidden = own === null;
      fill(first, shown().trim().split("\n")[0] || w("texts.nothing"));
      if (!built) return;
      const { field, seen, restore } = built;
      if (field.input.value !== shown()) field.input.value = shown();
      restore.disabled = own === null;
      const values = { ...told.samples[language()], restaurant: restaurant() || w("texts.restaurant") };
      const text = rendered(shown(), values);
      fill(seen, text === "" ? h("span", { class: "muted" }, w("texts.nothing")) : marked(text));
    }

    function flaw() {
      if (own === null) return null;
      if (own.trim() === "") return mayBeEmpty ? null : "the text is empty";
      const named = [...own.matchAll(NAMED)].map(([, one]) => one);
      const strange = named.find((one) => !placeholders.includes(one));
      if (strange) return `{${strange}} is no placeholder of this text`;
      const missing = required.find((one) => !named.includes(one));
      return missing ? `the text needs {${missing}}` : null;
    }

    dress();
    return {
      name, node, shown, dress,
      own: () => own,
      field: {
        names: [`texts.${name}`],
        get input() { return build().field.input; },
        say(message) {
          // One that is searched away would not be seen.
          if (message) node.hidden = false;
          if (message || built) build().field.say(message);
        },
        flaw,
      },
    };
  }

  return {
    node: panel(w("texts"), h("p", { class: "muted" }, w("texts.hint")),
      h("div", { class: "row" }, find, h("label", { class: "check" }, only, h("span", null, w("texts.only")))), h("div", { class: "texts" }, entries.map(({ node }) => node)), none),
    fields: entries.map(({ field }) => field),
    /** The language or the restaurant's name has changed. */
    dress: () => entries.forEach((one) => one.dress()),
    read() {
      // A text that this console does not know stays as it is.
      const known = new Set(entries.map(({ name }) => name));
      const strange = Object.entries(settings.texts).filter(([name]) => !known.has(name));
      return { texts: Object.fromEntries([...strange, ...entries.filter((one) => one.own() !== null).map((one) => [one.name, one.own()])]) };
    },
  };
}
