// Conversations: customers write, it is seen as it happens, it is answered once.

import { strict as assert } from "node:assert";

const VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ana\nTEL;type=CELL;waid=573001112233:+57 300 111 2233\nEND:VCARD";
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export default async function talk(world) {
  const { page } = world;
  const number = await world.paired("trattoria", "Trattoria Da Ugo");
  const customer = await world.customer();
  const other = await world.customer();
  await world.signIn();
  await page.getByRole("link", { name: "trattoria" }).click();
  await page.getByText("No conversations yet.").waitFor();

  // A customer writes: it is there, and nobody has touched anything.
  await world.says(customer, number, "una pizza por favor");
  const chats = page.getByRole("list", { name: "Conversations" }).getByRole("link");
  await chats.getByText("una pizza por favor").waitFor();
  assert.match(await chats.locator(".unseen").innerText(), /1$/);
  await chats.first().click();
  const log = page.locator(".messages");
  const message = (id) => log.locator(`[data-id="${id}"]`);
  await log.getByText("una pizza por favor").waitFor();
  await chats.locator(".unseen").waitFor({ state: "detached" });

  // It is answered with Enter, arrives once, and comes as far as it can.
  const box = page.getByLabel("Write a message").and(page.locator("textarea"));
  assert.ok(await box.evaluate((node) => node === document.activeElement), "one can write at once");
  await box.fill("Con gusto.");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("¿Para qué hora?");
  await page.keyboard.press("Enter");
  const answer = log.locator(".own", { hasText: "¿Para qué hora?" });
  await answer.locator('[data-status="delivered"]').waitFor();
  assert.equal(await answer.count(), 1);
  assert.equal(await box.inputValue(), "");
  const [arrived, ...more] = await world.inbox(customer);
  assert.deepEqual([arrived.text, more], ["Con gusto.\n¿Para qué hora?", []]);
  await world.control("POST", `/customers/${customer}/read`, { id: arrived.id });
  await answer.locator('[data-status="read"]').waitFor();

  // Every kind that there is.
  const say = (of) => world.says(customer, number, of);
  const place = await say({ kind: "location", latitude: 4.65, longitude: -74.06, name: "La Candelaria", address: "Calle 10" });
  assert.equal(await message(place).getByRole("link", { name: "4.65000, -74.06000" }).getAttribute("rel"), "noopener noreferrer");
  await message(place).getByText("La Candelaria").waitFor();
  const card = await say({ kind: "contact", name: "Ana", vcard: VCARD });
  await message(card).getByText("+57 300 111 2233").waitFor();
  const poll = await say({ kind: "poll", name: "¿Cuándo?", options: ["Mediodía", "Noche"], selectable: 1 });
  await message(poll).getByText("Mediodía").waitFor();
  await say({ kind: "vote", of: poll, options: ["Noche"] });
  await message(poll).locator('li:has-text("Noche") [data-votes="1"]').waitFor();
  await say({ kind: "reaction", of: arrived.id, emoji: "👍" });
  await message(arrived.id).getByRole("list", { name: "Reactions" }).getByText("👍").waitFor();
  await say({ kind: "reaction", of: arrived.id, emoji: "" });
  await message(arrived.id).getByRole("list", { name: "Reactions" }).waitFor({ state: "detached" });
  await say({ kind: "reaction", of: arrived.id, emoji: "❤️" });
  const typo = await say({ kind: "text", text: "a las ocho y medai" });
  await message(typo).waitFor();
  await say({ kind: "edit", of: typo, text: "a las ocho y media" });
  await message(typo).getByText("a las ocho y media").waitFor();
  await message(typo).getByText("edited").waitFor();
  const slip = await say({ kind: "text", text: "me equivoqué" });
  await message(slip).getByText("me equivoqué").waitFor();
  await say({ kind: "revoke", of: slip });
  await message(slip).getByText("Deleted message").waitFor();
  assert.equal(await message(slip).getByText("me equivoqué").count(), 0);
  const reply = await say({ kind: "reply", of: arrived.id, say: { kind: "text", text: "para hoy" } });
  await message(reply).locator("blockquote").getByText("Con gusto.").waitFor();
  const strange = await say({ kind: "unknown", field: 4321 });
  await message(strange).getByText("unknown kind").waitFor();
  const image = await say({ kind: "image", data: PICTURE, caption: "la mesa" });
  await message(image).getByText("la mesa").waitFor();
  const file = await say({ kind: "document", data: PICTURE, file_name: "pedido.pdf", mimetype: "application/pdf" });
  await message(file).getByText("pedido.pdf").waitFor();
  const voice = await say({ kind: "voice", data: PICTURE, seconds: 7 });
  await message(voice).getByText("Voice message", { exact: true }).waitFor();
  await message(voice).getByText("0:07").waitFor();

  // What the tenant writes on its own phone is there too.
  const own = (await world.control("POST", `/phones/${number}/send`, { to: customer, text: "desde el teléfono" })).id;
  await message(own).and(log.locator(".own")).getByText("desde el teléfono").waitFor();

  // A quote, with the button of a message.
  await message(reply).hover();
  await message(reply).getByRole("button", { name: "Reply to" }).click();
  await box.fill("hoy no hay mesa");
  await page.keyboard.press("Enter");
  await log.locator(".own", { hasText: "hoy no hay mesa" }).locator("blockquote").getByText("para hoy").waitFor();
  const quoting = await world.until("the quote", async () => (await world.inbox(customer)).find(({ text }) => text === "hoy no hay mesa"));
  assert.equal(quoting.about, reply);

  // A group: who says what.
  const group = await world.control("POST", "/groups", { by: customer, subject: "Almuerzo", members: [number, other] });
  const jid = group.jid ?? group.id;
  await world.says(other, jid, "somos cinco");
  await chats.getByText("somos cinco").waitFor();
  await chats.getByText("Almuerzo").waitFor();
  await chats.first().click();
  await log.getByText("somos cinco").waitFor();
  await log.locator(".author").waitFor();
  await box.fill("listo");
  await page.keyboard.press("Enter");
  await world.until("the answer in the group", async () => (await world.inbox(other)).some(({ text }) => text === "listo"));
  await world.accessible("group");

  // Read anew, everything is as it was seen to happen.
  await page.getByRole("link", { name: /una pizza|hoy no hay mesa/ }).first().click();
  await log.getByText("hoy no hay mesa").waitFor();
  const seen = await words(log);
  await page.reload();
  await log.getByText("hoy no hay mesa").waitFor();
  await world.until("the same words", async () => (await words(log)) === seen);
  await world.accessible("conversation");
}

/** What is said, and what became of it. Not the files: they are fetched when they come into view. */
function words(log) {
  return log.locator("li").evaluateAll((items) => JSON.stringify(items.map((item) => {
    const heard = item.cloneNode(true);
    for (const file of heard.querySelectorAll(".file")) file.remove();
    return heard.textContent;
  })));
}
