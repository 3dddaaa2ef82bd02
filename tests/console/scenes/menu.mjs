// The menu: dishes are added, changed, moved and removed by keys, pasted and brought in files; what is sold out is saved at once; what somebody
// else saves meanwhile stays, and so does what is typed.

import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";

const AJIACO = { id: "aji", name: "Ajiaco", price: 24000, category: "Sopas", description: "Con pollo", available: true, aliases: ["ajiaquito"] };
const LIMONADA = { id: "lim", name: "Limonada", price: 7000, category: "Bebidas", description: "", available: true };

const CARD = `Sopas:
ajiaco ........ $26.000
*Mondongo* 20 mil
Con arroz y banano, como en casa
Caldo

BEBIDAS
Limonada 7.000
Gaseosa 400 ml 4,5k
Pizza personal 18.000 / familiar 42.000`;

const SHEET = "Categoría;Plato;Valor\nPostres;Flan;$ 5.000,00\nPostres;Brownie;11000\nPostres;Torta;preguntar";

export default async function menu(world) {
  const { page } = world;
  const route = "/api/trattoria/bot/menu";
  const saved = async () => (await world.api("GET", route)).body;
  const dish = async (id) => (await saved()).items.find((item) => item.id === id);
  const write = async (body) => assert.equal((await world.api("PUT", route, body)).status, 200);
  // What the editor does not show is not its to lose.
  await write({ menu: "carta-1", name: "Carta", items: [AJIACO, LIMONADA] });
  await world.signIn();
  await page.evaluate(reading);
  await world.go("#/t/trattoria/bot/menu");
  const row = (name) => page.locator(".dishes tr").filter({ has: page.getByRole("button", { name: `Change ${name}`, exact: true }) });
  const bar = page.getByRole("region", { name: "Changes that are not saved" });
  const save = () => bar.getByRole("button", { name: "Save menu" }).click();
  await row("Ajiaco").getByText("$ 24.000").waitFor();
  await row("Ajiaco").getByText("ajiaquito").waitFor();
  assert.ok(await bar.isHidden());
  await world.accessible("menu");

  // A dish by the keyboard alone; its mistakes stand beside its fields.
  const add = page.getByRole("dialog", { name: "Add dish" });
  await page.getByRole("button", { name: "Add dish", exact: true }).click();
  await page.keyboard.type("Limonada");
  await page.keyboard.press("Tab");
  await page.keyboard.type("24.50");
  await page.keyboard.press("Enter");
  await add.getByText("Give a price as a whole number.").waitFor();
  await world.accessible("menu-dish");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("8 mil");
  await add.getByText("$ 8.000").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.type("Jarras");
  await page.keyboard.press("Enter");
  await add.waitFor({ state: "detached" });
  await bar.getByText("new: 1").waitFor();
  assert.equal((await saved()).items.length, 2, "nothing is saved yet");

  // Changed in its dialog; moved with the arrows; removed, and brought back.
  await row("Ajiaco").getByRole("button", { name: "Change Ajiaco" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Change dish" }).getByLabel("Price").fill("25.000");
  await page.keyboard.press("Enter");
  await row("Ajiaco").getByText("$ 25.000").waitFor();
  await page.getByRole("button", { name: "Move Bebidas up" }).click();
  await page.locator(".dishes tbody tr").first().getByText("Limonada").waitFor();
  await row("Ajiaco").getByRole("button", { name: "Change Ajiaco" }).focus();
  await page.keyboard.press("Delete");
  await bar.getByText("removed: 1").waitFor();
  await page.keyboard.press("Control+z");
  await row("Ajiaco").getByText("$ 25.000").waitFor();
  await bar.getByText("new: 1, changed: 1, another order").waitFor();

  // Sold out is saved at once, and nothing else with it.
  await row("Ajiaco").getByRole("switch").click();
  await world.until("sold out", async () => (await dish("aji")).available === false);
  assert.deepEqual(await saved(), { menu: "carta-1", name: "Carta", items: [{ ...AJIACO, available: false }, LIMONADA] });

  // It waits while another part is looked at.
  await page.getByRole("link", { name: "Restaurant", exact: true }).click();
  await row("Ajiaco").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Menu", exact: true }).click();
  await page.getByText("These changes were waiting for you").waitFor();
  await row("Ajiaco").getByText("$ 25.000").waitFor();

  // Somebody else changes the same meanwhile, and something else.
  world.rough = true;
  await write({ menu: "carta-1", name: "Carta", items: [{ ...AJIACO, price: 26000, available: false }, { ...LIMONADA, description: "Natural" }] });
  await save();
  const conflict = page.getByRole("dialog", { name: "Somebody else changed the same" });
  await world.accessible("menu-conflict");
  await conflict.getByLabel("Ajiaco · Price").selectOption("mine");
  await conflict.getByRole("button", { name: "Go on" }).click();
  await page.getByText("Your changes now stand on theirs").waitFor();
  assert.equal((await dish("aji")).price, 26000, "nothing is saved unseen");
  // The server's word for a mistake, beside its dish: on its way the price becomes one that it refuses.
  await page.route(`**${route}`, async (sent) => {
    if (sent.request().method() !== "PUT") return sent.continue();
    const body = sent.request().postDataJSON();
    body.items[1].price = -1;
    return sent.continue({ postData: JSON.stringify(body) });
  }, { times: 1 });
  await save();
  await page.getByText("Dishes with mistakes: 1.").waitFor();
  await page.locator(".dishes tr").filter({ has: page.locator(".dish-flaw") }).getByText("Give a price as a whole number.").waitFor();
  await world.accessible("menu-mistakes");
  await page.unroute(`**${route}`);
  world.rough = false;
  await save();
  await bar.waitFor({ state: "hidden" });
  const both = await saved();
  assert.deepEqual([both.menu, both.name], ["carta-1", "Carta"]);
  assert.deepEqual(both.items.map(({ id, name, price, available, description }) => [id, name, price, available, description]), [
    ["lim", "Limonada", 7000, true, "Natural"], ["aji", "Ajiaco", 25000, false, "Con pollo"], ["limonada", "Limonada", 8000, true, ""],
  ]);

  // Pasted as it stands on a card: what was understood, line by line.
  await page.getByRole("button", { name: "Paste or import" }).click();
  const bring = page.getByRole("dialog", { name: "Paste or import dishes" });
  const line = (n) => bring.locator(`[data-line="${n}"]`);
  await bring.getByLabel("Dishes, one a line").fill(CARD);
  await line(2).getByText("before: $ 25.000").waitFor();
  await line(3).getByText("$ 20.000").waitFor();
  await line(4).getByText("description of the dish above").waitFor();
  await line(5).getByText("No price.").waitFor();
  await line(8).getByText("as it was").waitFor();
  await line(9).getByText("$ 4.500").waitFor();
  await line(10).getByText("More than one price").waitFor();
  await bring.getByText("Lines that could not be read: 2.").waitFor();
  await world.accessible("menu-paste");
  await line(5).getByRole("button", { name: "Go to line 5" }).click();
  assert.equal(await bring.locator("textarea").evaluate((box) => box.value.slice(box.selectionStart, box.selectionEnd)), "Caldo");
  await bring.getByRole("button", { name: "Put into the menu" }).click();
  await bar.getByText("new: 2, changed: 1").waitFor();
  await save();
  await bar.waitFor({ state: "hidden" });
  const merged = await saved();
  assert.deepEqual(merged.items.map(({ id }) => id), ["lim", "gaseosa-400-ml", "aji", "mondongo", "limonada"]);
  assert.deepEqual(await dish("aji"), { ...AJIACO, price: 26000, available: false }, "its id and its aliases stay");
  assert.equal((await dish("mondongo")).description, "Con arroz y banano, como en casa");

  // A dish is moved without a mouse, and stays at hand.
  const gaseosa = row("Gaseosa 400 ml").getByRole("button", { name: "Change Gaseosa 400 ml" });
  await gaseosa.focus();
  await page.keyboard.press("Alt+ArrowUp");
  await bar.getByText("another order").waitFor();
  assert.match(await page.locator(".dishes tbody tr").first().innerText(), /Gaseosa/);
  assert.ok(await gaseosa.evaluate((button) => button === document.activeElement));
  await page.keyboard.press("Control+z");
  await bar.waitFor({ state: "hidden" });

  // A spreadsheet's file as Excel writes it, and the old service's export.
  await page.getByRole("button", { name: "Paste or import" }).click();
  const file = (name, text, encoding) => bring.locator("input[type=file]").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text, encoding) });
  await file("carta.csv", SHEET, "latin1");
  await bring.getByText("new: 2 · not read: 1").waitFor();
  const old = { tenants: { trattoria: { menu: { items: { aji: { name: "Ajiaco", price: 27000, category: "Sopas" }, x1: { name: "Ravioli", price: "-" }, x2: { name: "Lasaña", price: 31000, category: "Pastas", available: false } } } } } };
  await file("rtdb.json", JSON.stringify(old));
  await bring.getByText("new: 1 · changed: 1 · not read: 1").waitFor();
  await bring.getByLabel("Replace the menu").check();
  await bring.getByText("Dishes that go: 4.").waitFor();
  await world.accessible("menu-import");
  await bring.getByRole("button", { name: "Put into the menu" }).click();
  await save();
  await bar.waitFor({ state: "hidden" });
  assert.deepEqual((await saved()).items, [
    { ...AJIACO, price: 27000, available: false }, { id: "x2", name: "Lasaña", price: 31000, category: "Pastas", description: "", available: false },
  ]);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  assert.equal(download.suggestedFilename(), "menu-trattoria.json");
  assert.deepEqual(JSON.parse(await readFile(await download.path(), "utf8")), await saved());

  // Three hundred dishes stay quick. Who comes back sees what others have saved.
  const many = Array.from({ length: 300 }, (_, n) => ({ id: `d${n}`, name: `Plato ${n}`, price: 1000 + n, category: `Parte ${n % 12}`, description: "Con arroz y ensalada", available: n % 9 !== 0 }));
  await write({ menu: "carta-1", name: "Carta", items: many });
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.getByText("Dishes: 300").waitFor();
  const took = await page.evaluate(() => {
    const box = document.querySelector(".menu-tools input[type=search]");
    const begun = performance.now();
    for (const text of ["p", "plato", "plato 29", ""]) {
      box.value = text;
      box.dispatchEvent(new Event("input"));
      document.body.getBoundingClientRect();
    }
    return performance.now() - begun;
  });
  assert.ok(took < 4000, `four searches took ${took} ms`);
  await page.getByLabel("Search the menu").fill("PLATO 299");
  await row("Plato 299").waitFor();
  assert.equal(await page.locator("[data-dish]").count(), 1);
  await page.getByLabel("Search the menu").fill("");

  // Somebody else was faster: the switch is saved on what they made, and what they made stays.
  world.rough = true;
  await write({ menu: "carta-1", name: "Carta", items: many.map((one) => (one.id === "d12" ? { ...one, price: 9999 } : one)) });
  await row("Plato 24").getByRole("switch").click();
  await world.until("the switch", async () => (await dish("d24")).available === false);
  assert.equal((await dish("d12")).price, 9999);
  await row("Plato 12").getByText("$ 9.999").waitFor();
  world.rough = false;

  // In the dark, in Spanish, on a phone; what is not saved is still there.
  await row("Plato 7").getByRole("button", { name: "Remove Plato 7", exact: true }).click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.getByRole("button", { name: "Español" }).click();
  await page.getByText("Cambios sin guardar").waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await page.getByLabel("Buscar en el menú").fill("plato 29");
  await page.getByText("Platos: 299").waitFor();
  await page.locator('[data-dish="d29"]').scrollIntoViewIfNeeded();
  await world.accessible("menu-phone-dark");
  await page.getByRole("button", { name: "Deshacer" }).click();
  await page.getByText("Platos: 300").waitFor();
}

/** What the reading makes of prices, lines and names; in the page, with what it has. */
async function reading() {
  const { idFor, priceOf, readLines } = await import("/console/menu_reading.js");
  const same = (what, found, wanted) => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(found)}`);
  };
  const prices = {
    "24.000": 24000, "$24.000": 24000, "$ 24,000": 24000, "24 mil": 24000, "24k": 24000, "24,5 mil": 24500, "1'250.000": 1250000, "24.000,00": 24000, "24 000": 24000,
    "COP 24.000 c/u": 24000, "0": 0, "24.50": null, "24.000,50": null, "-5": null, "24.000 30.000": null, "gratis": null, "9999999999999": null,
  };
  for (const [said, value] of Object.entries(prices)) same(said, priceOf(said)?.value ?? null, value);
  const read = (text, options) => readLines(text, options).rows.map((row) => (row.kind === "dish" ? [row.name, row.price, row.category] : row.reason ?? row.kind));
  same("sizes are no prices", read("Coca-Cola 1.5 L $9.000\nAlitas x12 31000\nCombo 2 15k\n7up 4.000"), [["Coca-Cola 1.5 L", 9000, ""], ["Alitas x12", 31000, ""], ["Combo 2", 15000, ""], ["7up", 4000, ""]]);
  same("bare headings", read("Sopas\nAjiaco 24.000\nBebidas\nAgua 3.000"), ["category", ["Ajiaco", 24000, "Sopas"], "category", ["Agua", 3000, "Bebidas"]]);
  same("a table", read("Ajiaco\t24.000\tSopas\nCaldo\t9.000\tSopas\nAgua\t3.000\tBebidas\nJugo\t\tBebidas"), [["Ajiaco", 24000, "Sopas"], ["Caldo", 9000, "Sopas"], ["Agua", 3000, "Bebidas"], "no_price"]);
  same("commas", read('Ajiaco, con pollo, 24,000\n"Arroz, especial",18000,'), [["Ajiaco", 24000, ""], ["Arroz, especial", 18000, ""]]);
  same("thousands", read("Ajiaco 24\nCaldo 9", { thousands: true }), [["Ajiaco", 24000, ""], ["Caldo", 9000, ""]]);
  same("the price below", read("SOPAS\nAjiaco\n$ 24.000"), ["category", ["Ajiaco", 24000, "SOPAS"]]);
  same("twice", read("Ajiaco 24.000\najiaco 25.000"), [["Ajiaco", 24000, ""], "twice"]);
  same("ids", [idFor("Ñoquis & Pesto", new Set(["noquis-pesto"])), idFor("寿司", new Set())], ["noquis-pesto-2", "dish"]);
}
