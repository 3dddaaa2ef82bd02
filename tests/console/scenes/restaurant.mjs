// The owner's settings: the switch at once, hours copied over the week, a text of his own with its preview, mistakes beside their fields, and
// two who change them at the same time without undoing each other's work.

import { strict as assert } from "node:assert";

const ROUTE = "/api/trattoria/bot/settings";

export default async function restaurant(world) {
  const { page } = world;
  await world.api("POST", "/api/sessions", { name: "trattoria", start: false });
  const settings = async () => (await world.api("GET", ROUTE)).body;
  const isSaved = async (what, holds) => world.until(what, async () => holds(await settings()));
  const put = async (change) => {
    const { status, body } = await world.api("PUT", ROUTE, { ...(await settings()), ...change });
    assert.equal(status, 200, JSON.stringify(body));
  };
  // An answer that says no is a line on the browser's console.
  const refused = async (steps) => {
    world.rough = true;
    await steps();
    world.rough = false;
  };
  // What this form does not show is not its to lose.
  await put({ name: "Trattoria", suspended: false, humanize: false, texts: { thanks: "A la orden." } });

  await world.signIn();
  await world.go("#/t/trattoria/bot/restaurant");
  const lever = page.getByRole("switch");
  await lever.getByText("The bot is off").waitFor();
  const field = (name) => page.getByLabel(name, { exact: true });
  const save = page.getByRole("button", { name: "Save", exact: true });
  assert.equal(await field("Name").inputValue(), "Trattoria");
  await world.accessible("restaurant");

  // The switch is saved by itself, and takes nothing along that is only typed.
  await field("Name").fill("Trattoria Da Ugo");
  await page.getByText("There are unsaved changes.").waitFor();
  await lever.click();
  await lever.getByText("The bot is on").waitFor();
  await isSaved("the switch", ({ active, name }) => active && name === "Trattoria");
  assert.equal(await field("Name").inputValue(), "Trattoria Da Ugo");

  // Hours: one day, and all as that one.
  await field("We have business hours").check();
  await field("Monday: Open").check();
  await field("Monday: opens at").fill("18:00");
  await save.click();
  await page.getByText("Say when it opens and when it closes.").waitFor();
  await field("Monday: closes at").fill("02:00");
  await page.locator("[data-day=monday]").getByText("until the next day").waitFor();
  await page.getByRole("button", { name: "Copy the hours of Monday to all days" }).click();
  await field("Sunday: Open").uncheck();
  await page.getByRole("button", { name: "Add a day" }).click();
  await field("Date").fill("2026-12-25");
  await field("Takes at least (minutes)").fill("50");
  await field("Takes at most (minutes)").fill("40");
  await field("Delivery costs").fill("5000");
  await field("Cash").check();
  await field("Nequi").check();
  await field("Paid before cooking: Nequi").check();
  await field("Payment link").fill("http://example.com/");
  const muted = field("Numbers that it never answers");
  await muted.fill("+57 300 123 4567\n573009998877");

  // A text: what it needs is said, what a customer sees is shown, and it can be as it was.
  await page.getByRole("searchbox", { name: "Find a text" }).fill("second_order");
  const text = page.locator("[data-text=second_order]");
  await text.locator("summary").click();
  await text.getByLabel("Text", { exact: true }).fill("Otro pedido, {cliente}.");
  await world.until("the preview", async () => (await text.locator(".bubble-like").textContent()) === "Otro pedido, {cliente}.");
  await save.click();
  await text.getByText("{cliente} cannot stand in this text.").waitFor();
  await text.getByLabel("Text", { exact: true }).fill("Otro pedido, aparte de *");
  await text.getByRole("button", { name: "{order}" }).click();
  await page.keyboard.type("*.");
  assert.equal(await text.locator(".bubble-like").textContent(), "Otro pedido, aparte de a1b2c3.", "bold is bold");
  await refused(async () => {
    await save.click();
    await page.getByText("The least time must not be above the longest.").waitFor();
    await page.getByText("Give an address that begins with https:// and has {order} in it.").waitFor();
  });
  assert.equal((await settings()).businessHours, null, "nothing was saved");
  await world.accessible("restaurant-mistakes");
  await field("Takes at least (minutes)").fill("30");
  await field("Payment link").fill("https://pay.example.com/?ref={order}");

  // Somebody else saves meanwhile: that is said, and both are kept.
  await put({ name: "Da Nino", address: "Calle 1 # 2-3", texts: { thanks: "Con gusto." } });
  await refused(async () => {
    await save.click();
    await page.getByText("Somebody else saved these settings meanwhile.").waitFor();
  });
  await page.getByText("Both of you changed: The restaurant, Texts.").waitFor();
  assert.deepEqual([await field("Name").inputValue(), await field("Address").inputValue()], ["Trattoria Da Ugo", "Calle 1 # 2-3"]);
  assert.equal((await settings()).name, "Da Nino", "nobody's work is overwritten unseen");
  await world.accessible("restaurant-meanwhile");
  await save.click();
  await page.getByText("Saved: in force from the next message.").waitFor();
  const saved = await settings();
  assert.deepEqual([saved.active, saved.name, saved.address, saved.humanize], [true, "Trattoria Da Ugo", "Calle 1 # 2-3", false]);
  assert.deepEqual(saved.texts, { second_order: "Otro pedido, aparte de *{order}*.", thanks: "Con gusto." });
  const { schedule, exceptions, enabled } = saved.businessHours;
  assert.deepEqual([enabled, schedule.saturday, schedule.sunday.active, exceptions["2026-12-25"].active], [true, { active: true, open: "18:00", close: "02:00" }, false, false]);
  assert.deepEqual([saved.deliveryTime, saved.deliveryCost.cost, saved.prepayMethods], [{ min: 30, max: 40 }, 5000, ["nequi"]]);
  assert.deepEqual(saved.muted, ["+573001234567", "573009998877"]);

  // Nothing typed is lost by another language, nor by another part of the console.
  await field("Address").fill("Carrera 7 # 8-9");
  await page.getByRole("button", { name: "Español" }).click();
  await page.getByText("Hay cambios sin guardar.").waitFor();
  assert.equal(await field("Dirección").inputValue(), "Carrera 7 # 8-9");
  await page.getByRole("link", { name: "Probarlo", exact: true }).click();
  await page.getByText("Hay cambios del restaurante sin guardar.").waitFor();
  await page.getByRole("link", { name: "Restaurante", exact: true }).click();
  await page.getByText("Estos cambios lo esperaban").waitFor();
  assert.equal(await field("Dirección").inputValue(), "Carrera 7 # 8-9");
  await page.getByRole("button", { name: "Deshacer cambios" }).click();
  assert.equal(await field("Dirección").inputValue(), "Calle 1 # 2-3");

  // A tenant that takes no orders has rules; on a phone, in the dark.
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.setViewportSize({ width: 360, height: 740 });
  await field("Tomar pedidos").uncheck();
  await page.getByRole("button", { name: "Agregar una regla" }).click();
  await field("Palabras").fill("cita, turno");
  await field("Respuesta").fill("Para citas llame al 601 555 0000, {nombre}.");
  await refused(async () => {
    await page.getByRole("button", { name: "Guardar", exact: true }).click();
    await page.getByText("{nombre} no puede ir en este texto.").waitFor();
  });
  await field("Respuesta").fill("Para citas llame al 601 555 0000.");
  await world.accessible("restaurant-phone-dark");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await page.getByRole("button", { name: "Guardar", exact: true }).click();
  await isSaved("the rule", ({ takesOrders, rules }) => !takesOrders && rules.length === 1 && rules[0].when.keywords.join() === "cita,turno");
  await page.getByText("Abierto", { exact: true }).first().scrollIntoViewIfNeeded();
  await world.picture("restaurant-phone-dark-hours");
}
