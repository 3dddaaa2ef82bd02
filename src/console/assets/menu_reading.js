// Reads dishes as restaurants have them: prices, lines, tables from a spreadsheet; and makes ids. Pure: it asks nobody and draws nothing. A
// price is read or it is not, never guessed: what is unclear is said with its line.

/** The most that a price may be: what is more is a slip of the hand. */
export const MOST_PRICE = 1_000_000_000_000;
export const MOST_DISHES = 2000;
/** More of a line is not looked at. */
const LONGEST_LINE = 2500;

/** How texts are compared: without accents, capitals, and signs between words. */
export function folded(text) {
  return String(text ?? "").normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

/** An id from a name, that `taken` (a set) does not have: letters of ASCII, so that it stays readable in an order. */
export function idFor(name, taken) {
  const words = folded(name).replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  const stem = words.slice(0, 48).replace(/-+$/, "") || "dish";
  let id = stem;
  for (let n = 2; taken.has(id); n += 1) id = `${stem}-${n}`;
  return id;
}

const AMOUNT = String.raw`(?:\d{1,3}(?:[.,'’´\u00a0 ]\d{3})+|\d+)(?:[.,]\d{1,2})?(?!\d)`;
const CURRENCY = String.raw`(?:cop|col)?\s*\$|cop\b|pesos?\b`;
const THOUSANDS = String.raw`mil\b|k\b`;
const TAIL = String.raw`(?:\s*(?:pesos|cop|m\/?cte|c\/u)\b\.?|[.,]?-+)*`;
/** A sign of money or of thousands: without either, a short number may be a size. */
const PRICE = new RegExp(`(${CURRENCY})?\\s*(${AMOUNT})(?:\\s*(${THOUSANDS})(?:\\s+(\\d{3})(?!\\d))?)?${TAIL}`, "giu");

/** The whole number that digits with dots, commas or spaces mean; null if they mean none. */
function amount(digits, thousands, rest) {
  const grouped = /^(\d{1,3}(?:[.,'’´\u00a0 ]\d{3})+)(?:[.,](\d{1,2}))?$/.exec(digits);
  const plain = /^(\d+)(?:[.,](\d{1,2}))?$/.exec(digits);
  const [, whole, cents = ""] = grouped ?? plain ?? [];
  if (whole === undefined) return null;
  let value = Number(whole.replace(/\D/g, ""));
  if (thousands) {
    // "24,5 mil"; nobody writes "24.000 mil".
    if (grouped) return null;
    value = value * 1000 + Number(cents.padEnd(3, "0")) + Number(rest ?? 0);
  } else if (cents !== "") {
    // "24.000,00" has cents that are none; "24.50" may be anything.
    if (/[1-9]/.test(cents) || value < 1000) return null;
  }
  return Number.isSafeInteger(value) && value <= MOST_PRICE ? value : null;
}

/** What a text says if it is a price and nothing else: `{ value, clear }`; else null. */
export function priceOf(text) {
  const said = String(text ?? "").trim();
  const [only, ...more] = prices(said);
  if (!only || more.length > 0 || only.value === null) return null;
  const around = (said.slice(0, only.from) + said.slice(only.to)).replace(/[\s.:]/g, "");
  return around === "" ? { value: only.value, clear: only.clear } : null;
}

/** All numbers in a text that can be prices, with their places. `clear`: they cannot be a size or a number of pieces. */
function prices(text) {
  const found = [];
  for (const match of text.matchAll(PRICE)) {
    const [all, currency, digits, thousands, rest] = match;
    const at = match.index + all.indexOf(digits, currency?.length ?? 0);
    const before = text[at - 1] ?? " ";
    const after = text[match.index + all.length] ?? " ";
    // A part of a word ("x6", "7up", "1.5L") is no price, unless it is marked as one.
    const marked = Boolean(currency || thousands);
    if (!marked && (/[\p{L}\p{N}]/u.test(before) || /[\p{L}\p{N}%"]/u.test(after))) continue;
    const value = amount(digits, thousands, rest);
    const grouped = /^\d{1,3}(?:[.,'’´\u00a0 ]\d{3})+/.test(digits);
    found.push({ from: match.index + (all.length - all.trimStart().length), to: match.index + all.length, value, marked, clear: marked || grouped || (value ?? 0) >= 1000 });
  }
  return found;
}

const HEADS = {
  name: ["nombre", "plato", "producto", "item", "articulo", "dish", "name", "nombre del plato", "nombre del producto"],
  price: ["precio", "valor", "price", "precio de venta", "precio unitario", "valor unitario", "precio cop", "pvp"],
  category: ["categoria", "seccion", "grupo", "tipo", "category", "section", "group"],
  description: ["descripcion", "detalle", "ingredientes", "description", "detalles"],
  aliases: ["alias", "sinonimos", "otros nombres", "aliases", "apodos"],
  available: ["disponible", "available", "hay"],
};
const NO = new Set(["no", "false", "falso", "0", "agotado", "n"]);

/** Without what stands around a name: bullets, WhatsApp's stars, dots that lead to the price. */
const edges = (text) => text.replace(/\*([^*]+)\*/g, "$1").replace(/^[\s*_~•·▪●○◦‣✓✔➤►>–—-]+|[\s*_~•·|:+–—-]+$/gu, "").replace(/[.\s]*\.{2,}$|…+$/u, "").replace(/\s+/g, " ").trim();

/**
 * What pasted lines mean: `rows` in their order, each `{ line, text, kind, … }`: a `dish` with name, price (and what else was there), a
 * `category`, a `description` of the dish above, or `unread` with a `reason`. `small`: the prices look as if they were in thousands.
 */
export function readLines(text, { thousands = false } = {}) {
  const lines = String(text ?? "").replace(/^\ufeff/, "").split(/\r\n|\r|\n/).map((text, n) => ({ line: n + 1, text: evened(text) }));
  const filled = lines.filter(({ text }) => text.trim() !== "");
  const separator = separatorOf(filled);
  const rows = separator ? readTable(filled, separator) : readMenu(lines);
  const dishes = rows.filter(({ kind }) => kind === "dish");
  const small = dishes.length > 0 && dishes.filter(({ price }) => price < 1000).length * 2 > dishes.length;
  if (thousands) for (const dish of dishes) if (dish.price < 1000) dish.price *= 1000;
  forgetEmpty(rows);
  forgetTwice(rows);
  return { rows, small };
}

/** Long runs of one sign (dots that lead to a price) say no more than short ones, and would take long to read. */
function evened(text) {
  return text.slice(0, LONGEST_LINE).replace(/[^\S\t]{3,}/g, "  ").replace(/([^\p{L}\p{N}\s])\1{3,}/gu, "$1$1$1");
}

const unread = (row, reason) => Object.assign(row, { kind: "unread", reason });

/** A heading without a dish below it is more likely a dish without a price. */
function forgetEmpty(rows) {
  rows.forEach((row, n) => {
    if (row.kind !== "category" || row.sure) return;
    const next = rows.slice(n + 1).find(({ kind }) => kind === "dish" || kind === "category");
    if (next?.kind !== "dish") unread(row, "no_price");
  });
}

/** The first of a name counts: the second may have another price. */
function forgetTwice(rows) {
  const seen = new Set();
  for (const row of rows) {
    if (row.kind !== "dish") continue;
    const known = `${folded(row.name)}\n${folded(row.category)}`;
    if (seen.has(known)) unread(row, "twice");
    seen.add(known);
  }
}

/** The sign between the cells, where most lines have it; null: lines as people write them. */
function separatorOf(lines) {
  for (const sign of ["\t", ";", "|"]) {
    const having = lines.filter(({ text }) => text.includes(sign)).length;
    if (having > 0 && having * 2 >= lines.length) return sign;
  }
  // A comma stands in sentences too: only where a cell of its own is a price.
  const priced = lines.filter(({ text }) => cells(text, ",").slice(1).some((cell) => priceOf(cell)));
  const named = lines.length > 1 && headOf(cells(lines[0].text, ","));
  return priced.length > 0 && (priced.length * 2 >= lines.length || named) ? "," : null;
}

/** Cells of a line; a quoted one may hold the sign. With commas, those within a number are no separators. */
function cells(text, sign) {
  const found = [];
  let rest = sign === "," ? text.replace(/(?<![\d"])(\$?\s?\d{1,3})((?:,\d{3})+)(?![\d])/g, (all, head, groups) => head + groups.replaceAll(",", ".")) : text;
  while (rest !== null) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*/.exec(rest);
    if (quoted && (quoted[0].length === rest.length || rest[quoted[0].length] === sign)) {
      found.push(quoted[1].replaceAll('""', '"').trim());
      rest = quoted[0].length === rest.length ? null : rest.slice(quoted[0].length + 1);
    } else {
      const end = rest.indexOf(sign);
      found.push((end < 0 ? rest : rest.slice(0, end)).trim());
      rest = end < 0 ? null : rest.slice(end + 1);
    }
  }
  return found;
}

/** Which column is what, if these cells are the names of columns. */
function headOf(row) {
  const columns = {};
  row.forEach((cell, n) => {
    const kind = Object.keys(HEADS).find((kind) => HEADS[kind].includes(folded(cell)));
    if (kind && !(kind in columns)) columns[kind] = n;
  });
  return "name" in columns && "price" in columns ? columns : null;
}

function readTable(lines, sign) {
  const table = lines.map(({ line, text }) => ({ line, text, row: cells(text, sign) }));
  // A title may stand above the names of the columns.
  const top = table.slice(0, 5).findIndex(({ row }) => headOf(row));
  const head = top < 0 ? null : headOf(table[top].row);
  const columns = head ?? guessed(table.map(({ row }) => row));
  let category = "";
  return table.filter((_, n) => n !== top).map(({ line, row }) => {
    const there = row.filter((cell) => cell !== "");
    const made = { line, text: there.join(" · ") };
    if (there.length === 1) {
      if (head && line < table[top].line) return unread(made, "no_price");
      const [alone] = readMenu([{ line, text: there[0] }], category);
      if (alone?.kind === "category") category = alone.name;
      return alone ?? unread(made, "no_price");
    }
    // Rows of unequal length: the price is the one cell that is clearly one.
    const clear = row.flatMap((cell, n) => (priceOf(cell)?.clear ? [n] : []));
    const own = !head && !row[columns.price] && clear.length === 1 ? { ...columns, price: clear[0] } : columns;
    const cell = (kind) => (kind in own && (kind === "price" || own[kind] !== own.price) ? edges(row[own[kind]] ?? "") : "");
    const name = cell("name");
    const said = own.price === undefined ? "" : row[own.price] ?? "";
    if (name === "" || !/\p{L}/u.test(name)) return unread(made, "no_name");
    if (!head && clear.length > 1) return unread(made, "prices");
    if (said === "") return unread(made, "no_price");
    const price = priceOf(said);
    if (!price) return unread(made, prices(said).length > 1 ? "prices" : "price");
    const extra = { description: cell("description"), aliases: cell("aliases").split(/[,;/|]/).map((alias) => alias.trim()).filter(Boolean) };
    if ("available" in columns && cell("available") !== "") extra.available = !NO.has(folded(cell("available")));
    return { ...made, kind: "dish", name, price: price.value, category: "category" in columns && cell("category") ? cell("category") : category, ...extra };
  });
}

/** Columns without names: the dearest column of numbers has the prices; a text that repeats is a category, the first other one the name. */
function guessed(rows) {
  const full = rows.filter((row) => row.filter((cell) => cell !== "").length > 1);
  const width = Math.max(0, ...full.map((row) => row.length));
  const facts = Array.from({ length: width }, (_, n) => {
    const there = full.map((row) => row[n] ?? "").filter((cell) => cell !== "");
    const values = there.map((cell) => priceOf(cell)?.value).filter((value) => value !== undefined).sort((a, b) => a - b);
    const repeats = new Set(there.map(folded)).size;
    return { n, priced: values.length * 2 > there.length && there.length > 0, middle: values[values.length >> 1] ?? 0, filled: there.length, repeats: there.length >= 3 && repeats * 2 <= there.length };
  });
  const price = facts.filter(({ priced }) => priced).sort((a, b) => b.middle - a.middle)[0]?.n;
  const texts = facts.filter(({ priced, filled }) => !priced && filled > 0);
  const name = (texts.find(({ repeats }) => !repeats) ?? texts[0])?.n;
  const others = texts.filter(({ n }) => n !== name);
  const category = others.find(({ repeats }) => repeats)?.n;
  const description = others.find(({ n }) => n !== category)?.n;
  return Object.fromEntries(Object.entries({ price, name, category, description }).filter(([, n]) => n !== undefined));
}

const NAMED = /^(?:categor[ií]a|secci[oó]n|category|section)\s*[:\-–—]\s*(.+)$/iu;

/** Lines as they stand on a card: "Ajiaco .... 24.000", headings, descriptions below, prices on a line of their own. */
function readMenu(lines, category = "") {
  const rows = [];
  let last = null;
  // "Ajiaco 24" is a price only in a menu that has no dearer one: else "Combo 2" would be one.
  const short = !lines.some(({ text }) => prices(text).some(({ clear }) => clear));
  for (const { line, text } of lines) {
    const said = text.trim();
    if (said === "") {
      last = null;
      continue;
    }
    const row = { line, text: said };
    const found = prices(said).filter(({ clear, value }) => clear || short || (value ?? 0) >= 100);
    const clear = found.filter((one) => one.clear);
    const price = clear.at(-1) ?? found.at(-1);
    const above = rows.at(-1);
    const alone = /\p{L}/u.test(edges(said)) ? null : priceOf(said);
    if (alone && above?.kind === "category" && !above.sure) {
      Object.assign(above, { kind: "dish", price: alone.value, description: "", aliases: [] });
      last = above;
      continue;
    }
    rows.push(row);
    if (NAMED.test(edges(said))) {
      Object.assign(row, { kind: "category", name: edges(NAMED.exec(edges(said))[1]), sure: true });
    } else if (clear.length > 1) {
      unread(row, "prices");
    } else if (price && (price.clear || edges(said.slice(price.to)) === "")) {
      // "Con agua 200 ml" has numbers and no price: those stand at the end, or are marked.
      readDish(row, said, price);
    } else if (!/\p{L}/u.test(said)) {
      unread(row, "no_name");
    } else if (isDescription(said)) {
      if (last?.kind === "dish") {
        last.description = [last.description, bare(edges(said))].filter(Boolean).join(" ");
        Object.assign(row, { kind: "description" });
        continue;
      }
      unread(row, "no_price");
    } else {
      const marked = /^\*.*\*$|:$/.test(said) || said === said.toUpperCase();
      Object.assign(row, { kind: "category", name: edges(said), weak: !marked && last !== null && last.kind !== "category", first: rows.length === 1 && !marked });
    }
    last = row;
  }
  return inCategories(rows, category);
}

/** Where headings are marked (by capitals, a colon, an empty line above), a bare line among dishes is none, but a dish without a price. */
function inCategories(rows, category) {
  const marks = rows.some(({ kind, weak, first }) => kind === "category" && !weak && !first);
  for (const row of rows) {
    if (row.kind === "category" && row.weak && marks) unread(row, "no_price");
    else if (row.kind === "category") category = row.name;
    else if (row.kind === "dish") row.category = category;
  }
  return rows;
}

function readDish(row, said, price) {
  const before = said.slice(0, price.from).replace(/^\s*\d{1,3}\s*[.)]\s+/, "");
  const after = edges(said.slice(price.to));
  if (price.value === null) return unread(row, "price");
  // "Ajiaco - con pollo - 24.000": a name, and what is said of it.
  const [head, ...said_of_it] = edges(before).split(/\s+[–—-]\s+|\s*\|\s*/);
  const name = /\p{L}/u.test(before) ? edges(head) : after;
  if (!/\p{L}/u.test(name)) return unread(row, "no_name");
  const description = [...said_of_it, name === after ? "" : after].filter(Boolean).join(" ");
  return Object.assign(row, { kind: "dish", name, price: price.value, description: bare(description), aliases: [] });
}

/** Without the brackets around all of it. */
const bare = (text) => text.replace(/^\(([^()]*)\)$/, "$1");

/** What stands below a dish and is no heading. */
function isDescription(said) {
  const words = said.split(/\s+/).length;
  return /^[(\p{Ll}]/u.test(said) || /^(con|sin|incluye|viene|acompañad|servid|with|served)/iu.test(said) || words > 6 || (said.includes(",") && words > 3) || /[^.]\.$/.test(said);
}
