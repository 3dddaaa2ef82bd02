// The bot is tried: a talk goes on, what was understood stands beside it in the menu's words, and a word that was not understood becomes
// another name of a dish in two clicks. What somebody else saves in the menu meanwhile stays.

import { strict as assert } from "node:assert";

const MENU = {
  menu: "carta-1", name: "Carta",
  items: [
    { id: "aji", name: "Ajiaco <b>santafereño</b>", price: 24000, category: "Sopas", description: "", available: true, aliases: ["ajiaco"] },
    { id: "mon", name: "Mondongo", price: 20000, category: "Sopas", description: "", available: true },
    { id: "lim", name: "Limonada natural", price: 7000, category: "Bebidas", description: "", available: true },
    { id: "coco", name: "Limonada de coco", price: 9000, category: "Bebidas", description: "", available: true },
  ],
};

export default async function tryout(world) {
  const { page } = world;
  const route = "/api/trattoria/bot/menu";
  const dish = async (id) => (await world.api("GET", route)).body.items.find((item) => item.id === id);
  assert.equal((await world.api("PUT", route, MENU)).status, 200);
  await world.signIn();
  await world.go("#/t/trattoria/bot/try");
  const box = page.getByLabel("A text to the bot");
  const log = page.getByRole("log", { name: "The talk with the bot" });
  const heard = page.locator(".tryout section").filter({ has: page.getByRole("heading", { name: "What the bot understood" }) });
  const row = (name) => heard.getByRole("row").filter({ hasText: name });
  const say = async (text) => {
    await box.fill(text);
    await page.keyboard.press("Enter");
    await log.getByText(text, { exact: true }).last().waitFor();
  };
  await page.getByText("The talk begins with your first text.").waitFor();
  await world.accessible("tryout-empty");

  // An order with all that can be in it. Names of the menu are texts; the bot's marks are marks.
  await say("me regala dos ajiacos sin crema y una limonada, para la calle 10 # 4-20, pago con nequi");
  await row("Ajiaco <b>santafereño</b>").getByText("2 ×").waitFor();
  await row("Ajiaco").getByText("sin crema").waitFor();
  await row("Total").getByText("$ 48.000").waitFor();
  await heard.getByText("orders", { exact: true }).waitFor();
  await heard.getByText("calle 10 # 4-20").waitFor();
  await heard.getByText("Nequi", { exact: true }).waitFor();
  await heard.getByText("Limonada natural / Limonada de coco").waitFor();
  await world.accessible("tryout-order");

  // The talk goes on: the answer belongs to the question.
  await say("la de coco");
  await row("Limonada de coco").getByText("$ 9.000").waitFor();
  await row("Total").getByText("$ 57.000").waitFor();

  // What it does not know, taught while somebody else changes the menu.
  await say("y dos mondonguetes especiales");
  await heard.getByRole("heading", { name: "Not understood" }).waitFor();
  assert.equal(await log.locator("strong").last().evaluate((mark) => mark.closest("li").classList.contains("own")), false, "the bot's own marks");
  const word = await heard.locator(".tryout-word").first().innerText();
  await heard.getByText("Nearest: Mondongo").waitFor();
  await world.accessible("tryout-unknown");
  await page.route(`**${route}`, async (sent) => {
    const body = { ...MENU, items: MENU.items.map((item) => (item.id === "lim" ? { ...item, price: 8000 } : item)) };
    if (sent.request().method() === "PUT") assert.equal((await world.api("PUT", route, body)).status, 200);
    return sent.fallback();
  }, { times: 2 });
  world.rough = true;
  await heard.getByRole("button", { name: "Teach" }).first().click();
  await page.getByText(`“${word}” is Mondongo from now on.`).waitFor();
  world.rough = false;
  await row("Mondongo").getByText("2 ×").waitFor();
  assert.deepEqual((await dish("mon")).aliases, [word]);
  assert.equal((await dish("lim")).price, 8000, "what somebody else saved meanwhile");
  assert.equal(await log.getByText("y dos mondonguetes especiales").count(), 1, "the text is heard again in its place");
  await row("Total").getByText("$ 97.000").waitFor();

  // It waits while another part is looked at.
  await page.getByRole("link", { name: "Menu", exact: true }).click();
  await page.getByRole("button", { name: "Change Mondongo" }).waitFor();
  await page.getByRole("link", { name: "Try it", exact: true }).click();
  await row("Total").getByText("$ 97.000").waitFor();

  // What is written is not lost when nobody answers.
  world.rough = true;
  await page.route("**/bot/try", (sent) => sent.abort(), { times: 1 });
  await box.fill("eso es todo");
  await page.keyboard.press("Enter");
  await page.locator(".tryout .note.bad").waitFor();
  assert.equal(await box.inputValue(), "eso es todo");
  world.rough = false;

  // On a phone, in the dark, in Spanish.
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.getByRole("button", { name: "Español" }).click();
  assert.equal(await page.getByLabel("Un mensaje para el bot").inputValue(), "eso es todo");
  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByRole("heading", { name: "Lo que entendió el bot" }).waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await world.accessible("tryout-phone-dark");
  await page.getByRole("heading", { name: "Lo que entendió el bot" }).scrollIntoViewIfNeeded();
  await world.picture("tryout-phone-heard");

  // And from the beginning.
  await page.getByRole("button", { name: "Empezar de nuevo" }).click();
  await page.getByText("La conversación empieza con su primer mensaje.").waitFor();
}
