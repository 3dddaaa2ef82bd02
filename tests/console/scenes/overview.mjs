// What the operator sees first: who needs somebody, why and what to do, how much goes through, a webhook that fails, the vault, what was told.

import { strict as assert } from "node:assert";
import http from "node:http";

export default async function overview(world) {
  const { page } = world;
  // Nobody listens there any more.
  const closed = http.createServer();
  await new Promise((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${closed.address().port}/hook`;
  await new Promise((resolve) => closed.close(resolve));

  // It is what is seen first.
  await page.goto(`${world.url}/console/`);
  await page.getByLabel("Admin key").fill(world.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  assert.equal(page.url(), `${world.url}/console/`);
  const region = (name) => page.getByRole("region", { name });
  await region("Needs attention").getByText("There are no tenants yet.").waitFor();
  assert.equal(await region("Needs attention").getByRole("link", { name: "Add tenant" }).getAttribute("href"), "#/");

  assert.equal((await world.api("POST", "/api/sessions", { name: "trattoria", displayName: "Da Ugo", start: false })).status, 201);
  const number = await world.paired("trattoria");
  const other = await world.paired("pizzeria");
  const hook = { url, events: ["message"], retries: { policy: "constant", delaySeconds: 1, attempts: 15 } };
  assert.equal((await world.api("PUT", "/api/pizzeria/webhooks", { webhooks: [hook] })).status, 200);
  const customer = await world.customer();
  for (const text of ["buenas", "una margarita", "y una coca"]) await world.says(customer, other, text);
  assert.equal((await world.api("POST", "/api/sendText", { session: "pizzeria", chatId: `${customer}@c.us`, text: "en camino" })).status, 201);
  const [device] = await world.control("GET", `/phones/${number}/devices`);
  await world.control("DELETE", `/phones/${number}/devices/${device.id ?? device}`);
  await world.until("the logout", async () => (await world.api("GET", "/api/sessions/trattoria")).body.rejected);

  // All of this comes to an open page.
  await page.getByText("Connected: 1 of 2").waitFor();

  // Who, why, and what to do, by the name that the tenant was given.
  const need = region("Needs attention").getByRole("listitem").filter({ hasText: "Da Ugo" });
  await need.getByText("Must scan again").waitFor();
  await need.getByText("logged this device out").waitFor();
  await need.getByText("Tell the restaurant to open its connect page").waitFor();

  // The plot for the eye, and its numbers for those who listen.
  const table = page.getByRole("table", { name: "Last hour" });
  const sums = async () => {
    const cells = await table.locator("tbody td").evaluateAll((all) => all.map((cell) => Number(cell.textContent)));
    return [0, 1].map((column) => cells.filter((_, n) => n % 2 === column).reduce((sum, count) => sum + count, 0));
  };
  await world.until("what went through", async () => {
    const [received, sent] = await sums();
    return received >= 3 && sent >= 1;
  });
  assert.equal(await table.getByRole("row").count(), 13, "twelve times five minutes, and what they are");
  assert.deepEqual(await table.getByRole("columnheader").allTextContents(), ["From", "Received", "Sent"]);
  assert.equal(await page.getByRole("table", { name: "Last day" }).getByRole("row").count(), 13, "twelve times two hours");
  for (const line of ["received", "sent"]) {
    const drawn = page.getByRole("figure", { name: "Last hour" }).locator(`path.plot-${line}`);
    assert.ok(await drawn.evaluate((path) => path.getBBox().height > 0), `the line of what was ${line} is flat`);
  }

  const failing = region("Webhooks that fail").getByRole("listitem");
  await failing.getByText("failing: 1").waitFor();
  assert.equal(await failing.getByRole("link", { name: "pizzeria" }).getAttribute("href"), "#/t/pizzeria/webhooks");
  await region("Vault").getByText("Takes everything").waitFor();
  await region("Vault").getByText(/[1-9]\d* written/).waitFor();
  await region("Vault").getByText("nothing: it is a file").waitFor();
  await region("Alerts sent").getByText("webhook", { exact: true }).waitFor();
  await region("Alerts sent").getByRole("listitem").filter({ hasText: "Must scan again: Da Ugo" }).waitFor();
  await world.accessible("overview");

  // In the dark, in Spanish, on a phone.
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await world.accessible("overview-dark");
  await page.getByRole("button", { name: "Español" }).click();
  await page.getByRole("heading", { name: "Resumen", level: 1 }).waitFor();
  const needed = region("Requieren atención");
  await needed.getByText("Hay que escanear de nuevo").waitFor();
  await needed.getByText("WhatsApp desvinculó este dispositivo").waitFor();
  await page.getByRole("table", { name: "Última hora" }).waitFor({ state: "attached" });
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await world.accessible("overview-phone-dark");
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });

  // A click leads to the tenant, and back.
  await needed.getByRole("link", { name: "Da Ugo" }).click();
  await page.getByRole("heading", { name: "Da Ugo", level: 1 }).waitFor();
  await page.goBack();
  await needed.getByText("Hay que escanear de nuevo").waitFor();

  // It is put right, and that is seen without a click.
  await world.api("POST", "/api/baileys/connect", { tenantId: "trattoria" });
  const { body } = await world.api("GET", "/api/baileys/qr?tenantId=trattoria");
  await world.control("POST", `/phones/${number}/scan`, { qr: body.qr });
  await needed.getByText("Nadie lo necesita ahora.").waitFor();
  await region("Alertas enviadas").getByText("Resuelto", { exact: true }).first().waitFor();
  await page.getByText("Conectados: 2 de 2").waitFor();
}
