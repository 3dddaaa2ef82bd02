// One webhook in a form. A key and a header's value are write-only: the server shows a mask, and a mask that goes back keeps what was there,
// as long as the address stays. So an empty field keeps its secret, and a new address asks for it again.

import { fill, h } from "./dom.js";
import { field, form, picker, show, toast, unique } from "./dialog.js";
import { EVENTS, EVERY } from "./events.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

const POLICIES = ["constant", "linear", "exponential"];

/** What the daemon does when nothing is said. */
const DEFAULTS = { policy: "linear", delaySeconds: 2, attempts: 15 };

/** Shows the form for `hook`, or for a new one; `save(edited)` may fail with a problem. */
export function editWebhook(hook, save) {
  show(t(hook ? "hooks.edit.title" : "hooks.add"), (close, head) => {
    const url = field({ label: t("hooks.url"), hint: t("hooks.url.hint"), names: ["url"], type: "url", inputmode: "url", value: hook?.url ?? "", placeholder: "https://example.com/hook", maxlength: 2048, required: true });
    const moved = () => Boolean(hook) && url.input.value.trim() !== hook.url;
    const events = eventBoxes(hook?.events ?? ["message"]);
    const key = signature(hook, moved);
    const fields = [url, events, key];
    const headers = headerRows(hook?.customHeaders ?? [], moved, fields);
    const retries = { ...DEFAULTS, ...hook?.retries };
    const policy = picker({ label: t("hooks.policy"), value: retries.policy, options: POLICIES.map((one) => [one, t(`hooks.policy.${one}`)]) });
    const delay = field({ label: t("hooks.delay"), names: ["retries.delaySeconds"], type: "number", min: 0, max: 3600, step: "any", inputmode: "decimal", value: String(retries.delaySeconds) });
    const attempts = field({ label: t("hooks.tries"), names: ["retries.attempts"], type: "number", min: 0, max: 100, step: 1, inputmode: "numeric", value: String(retries.attempts) });

    url.input.addEventListener("input", () => {
      key.dress();
      headers.dress();
    });

    const submit = async () => {
      const flaws = [
        url.input.value.trim() === "" && [url, "is required"],
        events.chosen().length === 0 && [events, t("hooks.events.none")],
        ...key.flaws(), ...headers.flaws(),
      ].filter(Boolean);
      for (const [one, message] of flaws) one.say(message);
      if (flaws.length > 0) {
        flaws[0][0].input.closest("details")?.setAttribute("open", "");
        return flaws[0][0].input.focus();
      }
      const number = (one) => (one.input.value.trim() === "" ? null : Number(one.input.value));
      await save({
        ...hook,
        url: url.input.value.trim(),
        events: events.chosen(),
        hmac: key.value(),
        retries: { policy: policy.input.value, delaySeconds: number(delay), attempts: number(attempts) },
        customHeaders: headers.value(),
      });
      close("saved");
      toast(t("hooks.saved"));
    };
    fields.push(delay, attempts);
    return form({
      fields,
      submit,
      props: { class: "webhook-form" },
      children: [head, url.node, events.node, key.node, headers.node,
        h("details", null, h("summary", null, t("hooks.retries")), h("div", { class: "body-form" }, policy.node, h("div", { class: "pair" }, attempts.node, delay.node)))],
      foot: h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        h("button", { type: "submit", class: "button primary" }, t("hooks.save"))),
    });
  }, { class: "wide" });
}

/** A box for each event. One that a webhook asks for and nobody sends here stays asked for, until it is unchecked. */
function eventBoxes(asked) {
  const known = new Set(EVENTS.flatMap(([, names]) => names));
  const strange = asked.filter((name) => name !== EVERY && !known.has(name));
  const box = (name, words) => {
    const input = h("input", { type: "checkbox", name, checked: asked.includes(name) });
    return { name, input, node: h("label", { class: "check" }, input, words) };
  };
  const every = box(EVERY, h("span", null, h("strong", null, t("hooks.events.every"))));
  const groups = [...EVENTS, ...(strange.length > 0 ? [["strange", strange]] : [])].map(([group, names]) => ({ group, boxes: names.map((name) => box(name, h("code", null, name))) }));
  const boxes = groups.flatMap((group) => group.boxes);
  const flaw = h("p", { class: "flaw", id: unique("events-flaw") });
  const dress = () => {
    for (const { input } of boxes) input.disabled = every.input.checked;
  };
  every.input.addEventListener("change", dress);
  dress();
  return {
    names: ["events"],
    input: every.input,
    node: h("fieldset", { class: "events", "aria-describedby": flaw.id }, h("legend", null, t("hooks.events")), every.node,
      groups.map(({ group, boxes }) => h("div", { role: "group", "aria-label": t(`hooks.events.${group}`) }, h("p", { class: "small muted" }, t(`hooks.events.${group}`)), h("div", { class: "boxes" }, boxes.map(({ node }) => node)))), flaw),
    chosen: () => (every.input.checked ? [EVERY] : boxes.filter(({ input }) => input.checked).map(({ name }) => name)),
    say: (message) => fill(flaw, message),
  };
}

/** Whether what is sent is signed, and with which key. */
function signature(hook, moved) {
  const has = Boolean(hook?.hmac);
  const box = h("input", { type: "checkbox", name: "signed", checked: has });
  const key = field({ label: t("hooks.key"), hint: t("hooks.key.hint"), names: ["hmac.key"], type: "password", autocomplete: "new-password", maxlength: 4096 });
  const kept = () => has && !moved();
  const dress = () => {
    key.node.hidden = !box.checked;
    key.input.placeholder = kept() ? t("hooks.secret.kept") : "";
  };
  box.addEventListener("change", dress);
  dress();
  return {
    ...key,
    node: h("div", { class: "field" }, h("label", { class: "check" }, box, h("span", null, t("hooks.sign"))), key.node),
    dress,
    flaws: () => (box.checked && key.input.value === "" && !kept() ? [[key, has ? "must be entered again" : "is required"]] : []),
    value: () => (!box.checked ? null : { key: key.input.value || hook.hmac.key }),
  };
}

/** Headers of the receiver's own, each with a button to take it away. Their fields come to those of the form. */
function headerRows(given, moved, fields) {
  const rows = [];
  const place = h("div", { class: "header-rows" });

  function add(before) {
    const name = field({ label: t("hooks.header.name"), value: before?.name ?? "", maxlength: 256 });
    const value = field({ label: t("hooks.header.value"), type: "password", autocomplete: "new-password", maxlength: 4096 });
    const kept = () => Boolean(before) && !moved() && name.input.value.trim() === before.name;
    const row = {
      name, value, kept, before,
      dress: () => { value.input.placeholder = kept() ? t("hooks.secret.kept") : ""; },
    };
    const away = () => {
      rows.splice(rows.indexOf(row), 1);
      for (const gone of [name, value]) fields.splice(fields.indexOf(gone), 1);
      row.node.remove();
      renumber();
      more.focus();
    };
    row.node = h("div", { class: "header-row" }, name.node, value.node,
      h("button", { type: "button", class: "button quiet icon-only", "aria-label": t("hooks.header.drop"), title: t("hooks.header.drop"), onclick: away }, icon("cross")));
    name.input.addEventListener("input", row.dress);
    row.dress();
    rows.push(row);
    fields.push(name, value);
    place.append(row.node);
    renumber();
    return row;
  }

  /** The server names a mistake by the row's number. */
  function renumber() {
    rows.forEach(({ name, value }, n) => {
      name.names = [`customHeaders[${n}].name`, `customHeaders[${n}]`];
      value.names = [`customHeaders[${n}].value`];
    });
  }

  const more = h("button", { type: "button", class: "button small", onclick: () => add(null).name.input.focus() }, icon("plus"), t("hooks.header.add"));
  for (const header of given) add(header);
  return {
    node: h("fieldset", null, h("legend", null, t("hooks.headers")), place, h("div", null, more)),
    dress: () => rows.forEach((row) => row.dress()),
    flaws: () => rows.flatMap(({ name, value, kept, before }) => [
      name.input.value.trim() === "" && [name, "is required"],
      value.input.value === "" && !kept() && [value, before ? "must be entered again" : "is required"],
    ].filter(Boolean)),
    value: () => rows.map(({ name, value, kept, before }) => ({ name: name.input.value.trim(), value: value.input.value || (kept() ? before.value : "") })),
  };
}
