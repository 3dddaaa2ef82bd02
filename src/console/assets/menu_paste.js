// Many dishes at once: pasted as restaurants have them, or from a file. What was understood is shown line by line before it goes into the
// menu, and nothing is saved by it.

import { fill, h } from "./dom.js";
import { note, picker, show, unique } from "./dialog.js";
import { icon } from "./icons.js";
import { menusIn, readItems } from "./menu_import.js";
import { flawsOf, putIn } from "./menu_merge.js";
import { readLines } from "./menu_reading.js";
import { amount } from "./menu_table.js";
import { label, name } from "./text.js";
import { t } from "./words.js";

/** As the daemon's own import. */
const MOST_BYTES = 16 << 20;
const TYPING_MS = 150;

/** `items()`: the menu as it is edited; `done(items)` takes what it becomes. */
export function bringDishes({ tenant, items, done }) {
  show(t("menu.bring.title"), (close, head) => {
    /** What a file has, in place of pasted lines: `{ name, menus, at }`. */
    let file = null;
    let timer = null;
    let result = null;

    const id = unique("paste");
    const box = h("textarea", { class: "input mono", id, rows: 8, spellcheck: "false", autocomplete: "off", placeholder: t("menu.bring.example"), "aria-describedby": `${id}-hint`, oninput: soon, autofocus: true });
    const pasted = h("div", { class: "field" }, h("label", { for: id }, t("menu.bring.lines")), box, h("p", { class: "hint", id: `${id}-hint` }, t("menu.bring.hint")));
    const input = h("input", { type: "file", hidden: true, accept: ".json,.csv,.tsv,.txt,application/json,text/*", "aria-label": t("menu.bring.file"), onchange: () => input.files.length > 0 && take(input.files[0]) });
    const chosen = h("div", { class: "menu-file" });
    const thousands = h("input", { type: "checkbox", onchange: see });
    const thousandsNode = h("label", { class: "check", hidden: true }, thousands, h("span", null, t("menu.bring.thousands")));
    const mode = unique("mode");
    const ways = ["update", "replace"].map((way) => ({ way, box: h("input", { type: "radio", name: mode, value: way, checked: way === "update", onchange: see }) }));
    const replaces = () => ways[1].box.checked;
    const found = h("div", { class: "body-form" });
    const summary = h("p", { role: "status" });
    const go = h("button", { type: "button", class: "button primary", disabled: true, onclick: put }, icon("check"), t("menu.bring.do"));

    function soon() {
      clearTimeout(timer);
      timer = setTimeout(see, TYPING_MS);
    }

    async function take(one) {
      input.value = "";
      const refuse = (why) => fill(found, note("bad", t(why)));
      if (one.size > MOST_BYTES) return refuse("problem.too_large");
      const text = decoded(await one.arrayBuffer());
      if (!/^\s*[[{]/.test(text)) {
        forget();
        box.value = text;
        return see();
      }
      const menus = menusOf(text, tenant);
      if (menus === null) return refuse("problem.no_json");
      if (menus.length === 0) return refuse("menu.bring.no_menu");
      file = { name: one.name, menus, at: 0 };
      drawFile();
      see();
    }

    function forget() {
      file = null;
      fill(chosen);
      pasted.hidden = false;
    }

    function drawFile() {
      const of = picker({ label: t("menu.bring.whose"), options: file.menus.map(({ tenant }, n) => [String(n), label(tenant ?? "")]), onchange: (at) => { file.at = Number(at); see(); } });
      pasted.hidden = true;
      const back = () => {
        forget();
        see();
        box.focus();
      };
      fill(chosen, h("p", null, icon("file"), " ", name(file.name)), file.menus.length > 1 && of.node,
        h("button", { type: "button", class: "button small", onclick: back }, icon("cross"), t("menu.bring.other")));
    }

    function see() {
      clearTimeout(timer);
      const read = () => readLines(box.value, { thousands: thousands.checked });
      let { rows, small } = file ? { rows: readItems(file.menus[file.at].items), small: false } : read();
      // Of another text it was not said.
      if (!small && thousands.checked) {
        thousands.checked = false;
        if (!file) ({ rows } = read());
      }
      thousandsNode.hidden = !small;
      const told = rows.map((row) => (row.kind === "dish" && flawsOf(row).length > 0 ? { ...row, kind: "unread", reason: `flaw.${flawsOf(row)[0]}` } : row));
      const dishes = told.filter(({ kind }) => kind === "dish");
      result = putIn(items(), dishes, { replaces: replaces() });
      const of = (kind) => result.effects.filter((effect) => effect.kind === kind).length;
      const unread = told.filter(({ kind }) => kind === "unread").length + of("several");
      go.disabled = dishes.length === 0 || result.effects.every(({ kind }) => kind === "several");
      const facts = [["new", of("new")], ["changed", of("changed")], ["same", of("same")], ["removed", result.removed.length], ["unread", unread]];
      fill(summary, told.length > 0 && facts.filter(([, n]) => n > 0).map(([kind, n]) => t(`menu.bring.sum.${kind}`, { n })).join(" · "));
      fill(found, told.length > 0 && [
        unread > 0 && note("wait", t("menu.bring.unread", { n: unread })),
        result.removed.length > 0 && note("bad", t("menu.bring.removes", { n: result.removed.length }), " ", result.removed.slice(0, 20).map((item) => label(item.name)).join(", "), result.removed.length > 20 && "…"),
        preview(told, new Map(result.effects.map((effect) => [effect.dish, effect])), file ? null : lead),
      ]);
    }

    /** To the line, where it is mended. */
    function lead(line) {
      const starts = box.value.split("\n").slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
      const end = box.value.indexOf("\n", starts);
      box.focus();
      box.setSelectionRange(starts, end < 0 ? box.value.length : end);
    }

    function put() {
      // The menu may have become another one meanwhile.
      see();
      close("done");
      done(result.items);
    }

    const drop = (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length > 0) take(event.dataTransfer.files[0]);
    };
    return h("div", { class: "sheet", ondragover: (event) => event.preventDefault(), ondrop: drop }, head,
      h("p", { class: "muted" }, t("menu.bring.text")),
      pasted, chosen,
      h("div", { class: "row" }, h("button", { type: "button", class: "button", onclick: () => input.click() }, icon("file"), t("menu.bring.file")), input, thousandsNode),
      h("fieldset", null, h("legend", null, t("menu.bring.how")), ways.map(({ way, box }) => h("label", { class: "check" }, box, h("span", null, h("strong", null, t(`menu.bring.${way}`)), " ", h("span", { class: "muted" }, t(`menu.bring.${way}.hint`)))))),
      summary, found,
      h("div", { class: "row end menu-foot" }, h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")), go));
  }, { class: "wide menu-bring" });
}

/** Excel writes the letters of Windows where nobody asks it for others. */
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Null: it is no JSON. */
function menusOf(text, tenant) {
  try {
    return menusIn(JSON.parse(text), tenant);
  } catch {
    return null;
  }
}

function preview(rows, effects, lead) {
  const column = (words) => h("th", { role: "columnheader", scope: "col" }, t(words));
  const cell = (kind, ...children) => h("td", { role: "cell", class: kind }, children);
  const line = ({ line }) => (lead ? h("button", { type: "button", class: "button small", "aria-label": t("menu.bring.line.go", { n: line }), onclick: () => lead(line) }, String(line)) : String(line));
  const unread = (row, words) => h("tr", { role: "row", class: "unread", "data-line": row.line }, cell("at numbers", line(row)), cell("what", name(row.text)), cell("where"), cell("price"), cell("does", icon("alert"), " ", words));
  const draw = (row) => {
    if (row.kind === "category") return h("tr", { role: "row", "data-line": row.line }, cell("at numbers", line(row)), cell("what", h("strong", null, name(row.name))), cell("where"), cell("price"), cell("does muted", t("menu.bring.category")));
    if (row.kind === "description") return h("tr", { role: "row", "data-line": row.line }, cell("at numbers", line(row)), cell("what muted", name(row.text)), cell("where"), cell("price"), cell("does muted", t("menu.bring.description")));
    if (row.kind === "unread") return unread(row, t(row.reason.startsWith("flaw.") ? `menu.${row.reason}` : `menu.unread.${row.reason}`));
    const { kind, before, after } = effects.get(row);
    if (kind === "several") return unread(row, t("menu.unread.several"));
    const was = before && before.price !== after.price ? t("menu.bring.was", { price: amount(before.price) }) : "";
    return h("tr", { role: "row", "data-line": row.line }, cell("at numbers", line(row)),
      cell("what", name(after.name), row.description && h("span", { class: "sub" }, name(row.description))), cell("where muted", name(after.category)), cell("price numbers", amount(after.price)),
      cell("does", h("span", { class: `chip plain ${{ new: "good", changed: "ask" }[kind] ?? ""}` }, t(`menu.bring.kind.${kind}`)), was && h("span", { class: "sub" }, was)));
  };
  return h("div", { class: "menu-preview", tabindex: 0, role: "region", "aria-label": t("menu.bring.preview") },
    h("table", { class: "table", role: "table", "aria-label": t("menu.bring.preview") },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, column("menu.bring.line"), column("menu.name"), column("menu.category"), column("menu.price"), column("menu.bring.does"))),
      h("tbody", { role: "rowgroup" }, rows.map(draw))));
}
