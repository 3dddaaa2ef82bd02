// The same console by keyboard alone, on a phone, in the dark, in Spanish, by ear.

import { strict as assert } from "node:assert";

export default async function everyone(world) {
  const { page } = world;
  const number = await world.paired("trattoria", "Trattoria Da Ugo");
  const customer = await world.customer();
  for (let n = 1; n <= 60; n += 1) await world.says(customer, number, `pedido ${n}`);
  await world.until("all of them", async () => {
    const { body } = await world.api("GET", `/api/baileys/messages?tenantId=trattoria&chatId=${customer}&limit=100`);
    return body.messages.length === 60;
  });
  await world.api("POST", "/api/sessions", { name: "pizzeria", start: false });
  await world.api("POST", "/api/sessions", { name: "arepas", start: false });
  const focused = () => page.evaluate(() => {
    const { activeElement: at } = document;
    const heard = at.cloneNode(true);
    for (const silent of heard.querySelectorAll("[aria-hidden]")) silent.remove();
    return at.getAttribute("aria-label") || at.labels?.[0]?.innerText || heard.textContent || at.tagName;
  });
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  /** By Tab alone to what is called so; what has the focus shows it. */
  const tabTo = async (name, key = "Tab") => {
    for (let n = 0; n < 40; n += 1) {
      await press(key);
      const here = (await focused()).trim();
      if (here.startsWith(name)) {
        const shown = await page.evaluate(() => {
          const at = document.activeElement;
          return [null, "::after"].some((part) => getComputedStyle(at, part).outlineStyle !== "none");
        });
        assert.ok(shown, `the focus is not seen on ${name}`);
        return;
      }
    }
    assert.fail(`Tab does not come to ${name}`);
  };

  // The keyboard alone: in, to the content, through the list, to a conversation, an answer, back, out.
  await page.goto(`${world.url}/console/`);
  await page.getByLabel("Admin key").waitFor();
  assert.equal(await focused(), "Admin key");
  await page.keyboard.type(world.key);
  await press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  assert.equal(await focused(), "Overview");
  await tabTo("Tenants", "Shift+Tab");
  await press("Enter");
  await page.getByRole("row", { name: "trattoria" }).waitFor();
  assert.equal(await focused(), "Tenants");
  await tabTo("Skip to the content", "Shift+Tab");
  assert.ok((await page.getByRole("button", { name: "Skip to the content" }).boundingBox()).y >= 0, "it is seen");
  await press("Enter");
  assert.equal(await focused(), "Tenants");
  await tabTo("arepas");
  await press("ArrowDown");
  assert.equal(await focused(), "pizzeria");
  await press("End");
  assert.equal(await focused(), "trattoria");
  await press("Enter");
  await page.getByRole("heading", { name: "trattoria" }).waitFor();
  assert.equal(await focused(), "trattoria");
  await page.getByRole("list", { name: "Conversations" }).getByRole("link").waitFor();
  await tabTo("Customer 1");
  await press("Enter");
  const log = page.locator(".messages");
  await log.getByText("pedido 60", { exact: true }).waitFor();
  await world.until("the box to write", async () => (await focused()) === "Write a message");
  await page.keyboard.type("anotado");
  await press("Enter");
  await log.locator('.own [data-status="delivered"]').waitFor();
  assert.equal(await focused(), "Write a message");
  await press("Escape");
  assert.match(await focused(), /^Customer 1/);
  await tabTo("Messages");
  await world.picture("keyboard");

  // Older ones, as one goes up; what one reads stays where it is.
  assert.equal(await log.getByText("pedido 1", { exact: true }).count(), 0);
  await press("Home");
  await log.getByText("pedido 1", { exact: true }).waitFor();
  const texts = (await log.locator(".written").allInnerTexts()).slice(0, 60);
  assert.deepEqual(texts, Array.from({ length: 60 }, (_, n) => `pedido ${n + 1}`));
  // Who reads above is not pulled down; a button says that there is more.
  await world.says(customer, number, "y una coca");
  await page.getByRole("button", { name: "Newest" }).waitFor();
  await log.getByText("y una coca").waitFor();
  await page.getByRole("button", { name: "Newest" }).click();
  await world.until("the end", () => page.locator(".thread-scroll").evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 4));

  // What comes is said to those who listen, once.
  const said = page.locator('[role="log"]');
  await said.getByText("y una coca").waitFor();
  assert.deepEqual((await said.allInnerTexts()).map((text) => text.trim()), ["Customer 1: y una coca"]);

  // A dialog keeps the focus and gives it back.
  await tabTo("Write to a number");
  await press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  for (let n = 0; n < 8; n += 1) {
    await press("Tab");
    const inside = await page.evaluate(() => document.activeElement === document.body || document.querySelector("dialog").contains(document.activeElement));
    assert.ok(inside, "the focus left the dialog");
  }
  await press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await focused(), "Write to a number");

  // In the dark, and back.
  const theme = page.getByRole("button", { name: "Theme" });
  await theme.click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  await page.getByRole("button", { name: "Theme: dark" }).waitFor();
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "dark");
  await world.accessible("dark-conversation");
  await world.go("#/t/trattoria/connection");
  await page.getByText("Connected to WhatsApp.").waitFor();
  await world.accessible("dark-connection");
  await world.go("#/t/pizzeria");
  await page.getByRole("button", { name: "Show a new code" }).waitFor();
  await world.accessible("dark-pairing");
  await world.go("#/");
  await page.getByRole("row", { name: "trattoria" }).waitFor();
  await world.accessible("dark-tenants");
  await page.getByRole("button", { name: "Theme: dark" }).click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await ground();
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  assert.notEqual(await ground(), dark, "the system decides again");

  // In Spanish, by the switch; it stays, and nothing is left in English.
  await page.getByRole("button", { name: "Español" }).click();
  await page.getByRole("heading", { name: "Negocios", level: 1 }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "es");
  await page.reload();
  await page.getByRole("row", { name: "trattoria" }).getByText("Conectado", { exact: true }).waitFor();
  await world.accessible("spanish-tenants");
  await world.go(`#/t/trattoria/talk/${customer}@s.whatsapp.net`);
  await log.getByText("y una coca").waitFor();
  assert.match(await log.locator(".day").last().innerText(), /^Hoy$/);

  // On a phone: one column, one thing at a time, nothing wider than the screen.
  await page.setViewportSize({ width: 360, height: 740 });
  const fits = async (name) => {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the screen`);
    await world.accessible(`phone-${name}`);
  };
  await fits("conversation");
  await page.getByRole("link", { name: "Volver a las conversaciones" }).click();
  await page.getByRole("list", { name: "Conversaciones" }).getByRole("link").waitFor();
  await fits("conversations");
  await page.getByRole("link", { name: "Conexión" }).click();
  await page.getByText("Conectado a WhatsApp.").waitFor();
  await fits("connection");
  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByText("No hay webhooks configurados.").waitFor();
  await fits("webhooks");
  await world.go("#/");
  await page.getByRole("row", { name: "trattoria" }).waitFor();
  await fits("tenants");
  await world.api("POST", "/api/keys", { session: "trattoria", isAdmin: false, isActive: true });
  await world.go("#/keys");
  await page.locator("[data-key]").waitFor();
  await fits("keys");
  await page.getByRole("button", { name: "Clave nueva" }).click();
  await page.getByRole("dialog").waitFor();
  await fits("key-new");
}
