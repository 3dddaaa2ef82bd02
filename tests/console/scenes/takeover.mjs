// A human comes before the bot: a customer asks for somebody, that is seen in the list and in the head of the conversation, the owner takes the
// chat over, the bot is silent, and answers again when the chat is given back.

import { strict as assert } from "node:assert";

const MENU = { items: [{ id: "aji", name: "Ajiaco", price: 24_000, category: "Sopas" }] };
const SETTINGS = { name: "Trattoria", active: true, gatherMs: 0, humanize: false, pacing: { enabled: false } };

export default async function takeover(world) {
  const { page } = world;
  const line = await world.line();
  const number = await world.paired("trattoria");
  for (const [what, body] of Object.entries({ menu: MENU, settings: SETTINGS })) {
    assert.equal((await world.api("PUT", `/api/trattoria/bot/${what}`, body)).status, 200);
  }
  const [ana, beto] = [await world.customer(), await world.customer()];
  const heard = async (customer) => (await world.inbox(customer)).length;
  const talk = async (customer, text) => {
    const before = await heard(customer);
    await world.says(customer, number, text);
    await world.until(`an answer to ${text}`, async () => (await heard(customer)) > before);
  };
  const state = async (customer) => (await world.api("GET", `/api/trattoria/bot/conversations/${customer}@c.us`)).body.state;
  const reads = [];
  page.on("request", (request) => { if (/bot\/conversations\?/.test(request.url())) reads.push(request.url()); });

  await talk(beto, "hola");
  await world.signIn();
  await world.go("#/t/trattoria/talk");
  const list = page.locator(".chat-list");
  const chat = (customer) => list.locator(`a[href*="${customer}"]`);
  await chat(beto).waitFor();
  assert.equal(await list.locator("[data-bot]").count(), 0);

  // The customer asks for somebody. The bot's last words are the tenant's own message, and the mark stays.
  await talk(ana, "quiero hablar con alguien");
  await chat(ana).locator('[data-bot="humanCalled"]').waitFor();
  await page.locator(".toast").getByText("wants a human").waitFor();
  await page.getByRole("button", { name: "Want a human: 1" }).click();
  await chat(beto).waitFor({ state: "detached" });
  await world.accessible("takeover-list");
  assert.equal(await chat(ana).locator("[data-bot]").innerText(), "Wants a human");

  // It is opened and taken over by keyboard. The focus goes to the button that undoes it.
  await chat(ana).click();
  const head = page.locator(".thread-head");
  const [take, give] = [head.getByRole("button", { name: "Take over" }), head.getByRole("button", { name: "Give back to the bot" })];
  await head.locator('[data-bot="humanCalled"]').waitFor();
  await give.waitFor();
  await world.accessible("takeover-called");
  await take.focus();
  await page.keyboard.press("Enter");
  const status = head.getByRole("status");
  await status.getByText("Taken over").waitFor();
  await status.getByText(/Bot silent until \d/).waitFor();
  await take.waitFor({ state: "hidden" });
  assert.ok(await give.evaluate((button) => button === document.activeElement));
  assert.equal(await state(ana), "takenOver");
  await page.getByRole("button", { name: /^Want a human/ }).waitFor({ state: "hidden" });
  await chat(beto).waitFor();
  assert.equal(await list.locator("[data-bot]").count(), 0);

  // The bot is silent there, and there alone.
  const before = await heard(ana);
  await world.says(ana, number, "¿sigue ahí?");
  await page.locator(".messages").getByText("¿sigue ahí?").waitFor();
  await talk(beto, "menú");
  assert.equal(await heard(ana), before);
  await world.accessible("takeover-taken");

  // Given back, it answers.
  await page.keyboard.press("Enter");
  await status.getByText("Bot answers").waitFor();
  assert.ok(await take.evaluate((button) => button === document.activeElement));
  await talk(ana, "menú");

  // Who answers on the phone has taken the chat over as well.
  await world.control("POST", `/phones/${number}/send`, { to: ana, text: "ya le ayudo" });
  await status.getByText("A person writes").waitFor();
  assert.equal(await state(ana), "owner");
  await give.click();
  await status.getByText("Bot answers").waitFor();

  // What happens while the line is cut is there when the line is, and the chats are read once for it.
  const { length } = reads;
  await line.cut();
  await page.getByText("The connection to the daemon is down").waitFor();
  await talk(beto, "quiero hablar con alguien");
  assert.equal((await world.api("POST", `/api/trattoria/bot/conversations/${ana}@c.us/take`)).status, 200);
  line.mend();
  await chat(beto).locator('[data-bot="humanCalled"]').waitFor();
  await status.getByText("Taken over").waitFor();
  assert.ok(reads.length === length + 1, `${reads.slice(length)}`);

  // A bot that is off is no matter of one chat's; on a phone, in the dark, in Spanish.
  await page.getByRole("button", { name: "Español" }).click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.setViewportSize({ width: 360, height: 740 });
  await status.getByText("A su cargo").waitFor();
  await world.accessible("takeover-phone-dark");
  const sizes = await head.locator("button:visible, a:visible").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
  assert.ok(sizes.every((size) => size >= 36), `${sizes}`);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the phone");
  await head.getByRole("link", { name: "Volver a las conversaciones" }).click();
  await page.getByRole("button", { name: "Piden una persona: 1" }).waitFor();
  await world.accessible("takeover-phone-list");
  await chat(beto).click();
  await head.getByRole("button", { name: "Atender yo" }).click();
  await status.getByText("A su cargo").waitFor();
  assert.equal((await world.api("PUT", "/api/trattoria/bot/settings", { ...SETTINGS, active: false })).status, 200);
  await head.getByRole("link", { name: "Volver a las conversaciones" }).click();
  await chat(ana).click();
  await world.until("nothing about the bot", async () => !(await head.locator(".thread-bot").isVisible()));
}
