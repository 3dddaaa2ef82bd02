// One dish in a form: what it is called and costs, where it stands, what customers say for it. It goes into the menu that is edited, which is
// saved as a whole.

import { fill, h } from "./dom.js";
import { field, form, show, unique } from "./dialog.js";
import { flawsOf, tidy } from "./menu_merge.js";
import { idFor, priceOf } from "./menu_reading.js";
import { amount } from "./menu_table.js";
import { t } from "./words.js";

/** A field of several lines, like those of one. */
function area({ label, hint, value, rows }) {
  const id = unique("field");
  const input = h("textarea", { class: "input", id, rows, autocomplete: "off", "aria-describedby": `${id}-hint ${id}-flaw`, value });
  const flaw = h("p", { class: "flaw", id: `${id}-flaw` });
  const tell = (text) => {
    fill(flaw, text);
    input.setAttribute("aria-invalid", text ? "true" : "false");
  };
  return { input, names: [], tell, say: tell, node: h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "hint", id: `${id}-hint` }, hint), flaw) };
}

/**
 * Shows the form for `item`, or for a new one of `category`. `done(item)` takes what it becomes; `taken()` are the ids that no new dish may get;
 * `flaws`: by field, what was wrong with it before.
 */
export function editDish({ item, category = "", categories, flaws, done, taken }) {
  let again = false;
  show(t(item ? "menu.edit.title" : "menu.add"), (close, head) => {
    const options = h("datalist", { id: unique("categories") }, categories.map((one) => h("option", { value: one })));
    const name = field({ label: t("menu.name"), value: item?.name ?? "", autocapitalize: "sentences", autofocus: true });
    const price = field({ label: t("menu.price"), hint: t("menu.price.hint"), value: item ? String(item.price) : "", inputmode: "decimal", oninput: read });
    const place = field({ label: t("menu.category"), value: item?.category ?? category, list: options.id, autocapitalize: "sentences" });
    const description = area({ label: t("menu.description"), hint: t("menu.description.hint"), value: item?.description ?? "", rows: 2 });
    const aliases = area({ label: t("menu.aliases"), hint: t("menu.aliases.hint"), value: (item?.aliases ?? []).join("\n"), rows: 3 });
    const there = h("input", { type: "checkbox", checked: item?.available ?? true });
    const seen = h("p", { class: "muted small numbers", role: "status" });
    const fields = { name, price, category: place, description, aliases };
    const before = aliases.input.value;

    function read() {
      const found = priceOf(price.input.value);
      fill(seen, found ? amount(found.value) : "");
    }

    function submit() {
      const one = {
        available: true,
        ...item,
        name: name.input.value.trim(),
        price: priceOf(price.input.value)?.value ?? null,
        category: place.input.value.trim(),
        description: description.input.value.trim(),
        // A name may have a line in it that nobody sees here.
        aliases: aliases.input.value === before ? item?.aliases ?? [] : aliases.input.value.split("\n").map((alias) => alias.trim()).filter(Boolean),
      };
      // A new one's switch is in the form; of one that is saved it is saved at once, in the table.
      if (!item) one.available = there.checked;
      const wrong = flawsOf(one);
      for (const field of wrong) fields[field].tell(t(`menu.flaw.${field}`));
      if (wrong.length > 0) return fields[wrong[0]].input.focus();
      // Made when it is put in, from the name; never changed after that.
      done(tidy(item ? one : { id: idFor(one.name, taken()), ...one }));
      close("done");
      if (again) editDish({ item: null, category: one.category, categories: [...new Set([...categories, one.category])].filter(Boolean), flaws: {}, done, taken });
    }

    read();
    for (const [named, text] of Object.entries(flaws)) fields[named]?.tell(text);
    const element = form({
      fields: Object.values(fields),
      submit,
      children: [head, name.node,
        h("div", { class: "pair menu-pair" }, h("div", { class: "field" }, price.node, seen), place.node), options,
        description.node, aliases.node,
        !item && h("label", { class: "check" }, there, h("span", null, t("menu.there.now"))),
        item && h("p", { class: "muted small" }, t("menu.id"), " ", h("code", null, item.id))],
      foot: h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        !item && h("button", { type: "button", class: "button", onclick: () => { again = true; element.requestSubmit(); again = false; } }, t("menu.add.another")),
        h("button", { type: "submit", class: "button primary" }, t("menu.done"))),
    });
    return element;
  }, { class: "wide" });
}

/** Another name for a category; `done(name)` where it is another one. */
export function renameCategory(category, done) {
  show(t("menu.rename"), (close, head) => {
    const name = field({ label: t("menu.category"), value: category, autocapitalize: "sentences" });
    const submit = () => {
      const next = name.input.value.trim();
      close("done");
      if (next !== category) done(next);
    };
    return form({
      fields: [name],
      submit,
      children: [head, name.node],
      foot: h("div", { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => close("") }, t("cancel")),
        h("button", { type: "submit", class: "button primary" }, t("menu.done"))),
    });
  });
}
