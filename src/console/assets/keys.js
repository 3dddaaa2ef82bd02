// Keys: made and shown once, renewed, switched off, revoked. Of all tenants, or of one.

import { get, path, post, put, remove } from "./api.js";
import { fill, h } from "./dom.js";
import { action, confirm, copyable, field, form, note, show, toast, words } from "./dialog.js";
import { since } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./words.js";

const SCOPES = ["read", "send", "control"];

// A key for Prometheus has this one, and no session. It is made over the API.
const METRICS = "metrics";

export function keysView() {
  const { node, close } = keysOf(null);
  return { title: t("nav.keys"), node: h("div", { class: "page" }, node("h1")), close };
}

export function keysPart({ tenant }) {
  const { node, close } = keysOf(tenant);
  return { node: h("div", { class: "page narrow" }, node("h2")), close };
}

function keysOf(tenant) {
  const place = h("div", { class: "panel" });
  let closed = false;

  async function look() {
    try {
      const all = await get("api/keys");
      if (closed) return;
      draw(all.filter((key) => tenant === null || key.session === tenant));
    } catch (problem) {
      if (!closed) fill(place, h("div", { class: "empty" }, icon("alert"), h("p", null, words(problem)), h("button", { type: "button", class: "button", onclick: look }, icon("refresh"), t("retry"))));
    }
  }

  function draw(keys) {
    if (keys.length === 0) return fill(place, h("div", { class: "empty" }, icon("key"), h("p", null, t("keys.none"))));
    const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
    fill(place, h("table", { class: "table keys", role: "table", "aria-label": t("nav.keys") },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("keys.id"), column("keys.for"), column("keys.may"), column("keys.used"), column("actions"))),
      h("tbody", { role: "rowgroup" }, keys.map(row))));
  }

  function row(key) {
    const change = (title, text, verb, work) => action(async () => {
      if (!(await confirm(t(title, { id: key.id }), t(text), t(verb)))) return;
      await work();
      await look();
    });
    const revoke = change("keys.revoke.title", "keys.revoke.text", "keys.revoke", async () => {
      await remove(path`api/keys/${key.id}`);
      toast(t("keys.revoked"));
    });
    const renew = change("keys.renew.title", "keys.renew.text", "keys.renew", async () => once(await post(path`api/keys/${key.id}/renew`)));
    const flip = action(async () => {
      await put(path`api/keys/${key.id}`, { session: key.session, isAdmin: key.isAdmin, isActive: !key.isActive });
      await look();
    });
    const may = key.isAdmin ? [h("span", { class: "chip plain bad" }, t("keys.everything"))] : [...SCOPES, METRICS].filter((scope) => key.actions[scope]).map((scope) => h("span", { class: "chip plain" }, t(`scope.${scope}`)));
    const button = (words, work, kind) => h("button", { type: "button", class: `button small ${kind ?? ""}`, onclick: work }, t(words));
    return h("tr", { role: "row", "data-key": key.id },
      h("td", { role: "cell" }, h("code", null, key.id), h("span", { class: "sub" }, t("keys.made"), " ", since(key.createdAt))),
      h("td", { role: "cell", "data-label": t("keys.for") }, key.isAdmin || key.session === null ? t(key.isAdmin ? "keys.operator" : "keys.prometheus") : h("a", { href: path`#/t/${key.session}/keys` }, key.session)),
      h("td", { role: "cell", "data-label": t("keys.may") }, h("div", { class: "tags" }, !key.isActive && h("span", { class: "chip wait plain" }, t("keys.off")), may.length > 0 ? may : h("span", { class: "muted" }, t("keys.nothing")))),
      h("td", { role: "cell", "data-label": t("keys.used") }, key.lastUsedAt ? since(key.lastUsedAt) : h("span", { class: "muted" }, t("keys.never"))),
      h("td", { role: "cell" }, h("div", { class: "row" }, button("keys.renew", renew), button(key.isActive ? "keys.switch_off" : "keys.switch_on", flip), button("keys.revoke", revoke, "danger"))));
  }

  function create() {
    show(t("keys.new"), (close, head) => {
      const session = field({ label: t("keys.tenant"), hint: tenant === null ? t("keys.tenant.hint") : null, names: ["session"], value: tenant ?? "", readonly: tenant !== null });
      const boxes = SCOPES.map((scope) => {
        const box = h("input", { type: "checkbox", name: scope, checked: scope !== "control" });
        return { scope, box, node: h("label", { class: "check" }, box, h("span", null, h("strong", null, t(`scope.${scope}`)), " ", h("span", { class: "muted" }, t(`scope.${scope}.hint`)))) };
      });
      const submit = async () => {
        const wanted = session.input.value.trim();
        const actions = Object.fromEntries(boxes.map(({ scope, box }) => [scope, box.checked]));
        const body = wanted ? { session: wanted, isAdmin: false, isActive: true, actions } : { isAdmin: true, isActive: true };
        const made = await post("api/keys", body);
        close("made");
        await once(made);
        await look();
      };
      // A key for everything is no slip of the hand.
      const everything = () => {
        const all = session.input.value.trim() === "";
        for (const { box } of boxes) box.disabled = all;
        warning.hidden = !all;
      };
      const warning = note("wait", t("keys.all.warning"));
      session.input.addEventListener("input", everything);
      everything();
      return form({
        fields: [session],
        submit,
        children: [head, session.node, warning, h("fieldset", null, h("legend", null, t("keys.may")), boxes.map(({ node }) => node))],
        foot: h("div", { class: "row end" },
          h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
          h("button", { type: "submit", class: "button primary" }, t("keys.make"))),
      });
    });
  }

  /** The one time that a key can be seen. */
  function once(made) {
    const { closed: done } = show(t("keys.once.title"), (close, head) => h("div", { class: "sheet" }, head,
      note("wait", t("keys.once.text")), copyable(made.key, t("keys.once.label")),
      h("div", { class: "row end" }, h("button", { type: "button", class: "button primary", onclick: () => close("") }, t("keys.once.done")))));
    return done;
  }

  fill(place, h("div", { class: "empty" }, h("p", { role: "status" }, t("loading"))));
  look();
  return {
    node: (level) => [
      h("div", { class: "page-head" }, h(level, { tabindex: -1 }, t("nav.keys")), h("button", { type: "button", class: "button primary", onclick: create }, icon("plus"), t("keys.new"))),
      h("p", { class: "muted" }, t("keys.text")),
      place,
    ],
    close: () => { closed = true; },
  };
}
