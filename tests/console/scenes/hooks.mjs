// A webhook is set up in the console, changed and removed, and nothing that was not touched is lost.

import { strict as assert } from "node:assert";
import http from "node:http";

export default async function hooks(world) {
  const { page } = world;
  const taken = [];
  const receiver = http.createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      taken.push({ headers: request.headers, path: request.url, ...JSON.parse(body) });
      response.writeHead(204, { connection: "close" }).end();
    });
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const at = (name) => `http://127.0.0.1:${receiver.address().port}/${name}`;
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  const settings = async () => (await world.api("GET", "/api/trattoria/webhooks")).body;
  const isSaved = async (what, holds) => world.until(what, async () => holds(await settings()));
  // What another program set up is not this form's to lose: metadata, an event that never comes, a second webhook.
  const other = { url: at("other"), events: ["message.ack", "engine.event"], hmac: { key: "of-the-other" }, retries: { policy: "constant", delaySeconds: 0.5, attempts: 2 }, customHeaders: [{ name: "X-Other", value: "kept" }] };
  assert.equal((await world.api("PUT", "/api/trattoria/webhooks", { webhooks: [other], metadata: { restaurant: 7 } })).status, 200);

  await world.signIn();
  await world.go("#/t/trattoria/webhooks");
  await page.getByRole("heading", { name: at("other") }).waitFor();
  await page.getByRole("button", { name: "Add webhook" }).click();
  const add = page.getByRole("dialog", { name: "Add webhook" });
  const field = (name, dialog = add) => dialog.getByLabel(name, { exact: true });
  assert.ok(await field("Address").evaluate((input) => input === document.activeElement), "the first field has the focus");
  await world.accessible("webhook-new");

  // Mistakes stand beside their fields: ours before anything is sent, the server's after.
  await field("message").uncheck();
  await add.getByRole("button", { name: "Save" }).click();
  await add.getByText("Fill this in.").waitFor();
  await add.getByText("Choose at least one event.").waitFor();
  world.rough = true;
  await field("Address").fill("ftp://example.com/hook");
  await field("message").check();
  await field("session.status").check();
  await add.getByText("Attempts", { exact: true }).first().click();
  await field("Attempts").fill("101");
  await add.getByRole("button", { name: "Save" }).click();
  await add.getByText("It must begin with http:// or https://.").waitFor();
  await add.getByText("Give a number from 0 to 100.").waitFor();
  assert.equal(await field("Address").getAttribute("aria-invalid"), "true");
  assert.equal((await settings()).webhooks.length, 1, "nothing was saved");
  world.rough = false;
  await world.accessible("webhook-mistakes");

  await field("Address").fill(at("mine"));
  await field("Attempts").fill("4");
  await add.getByLabel("Wait between attempts").selectOption("Doubling".toLowerCase());
  await field("Sign what is sent").check();
  await field("Secret key").fill("a-long-secret");
  await add.getByRole("button", { name: "Add header" }).click();
  await field("Name").fill("Authorization");
  await field("Value").fill("Bearer abc");
  await add.getByRole("button", { name: "Save" }).click();
  await page.getByText("Webhook saved").waitFor();
  await page.getByRole("heading", { name: at("mine") }).waitFor();
  const both = await settings();
  const [kept, mine] = both.webhooks;
  assert.deepEqual([both.metadata, kept.url, kept.events, kept.retries], [{ restaurant: 7 }, other.url, other.events, other.retries]);
  assert.deepEqual([mine.url, mine.events, mine.retries], [at("mine"), ["message", "session.status"], { policy: "exponential", delaySeconds: 2, attempts: 4 }]);
  assert.doesNotMatch(await page.content(), /a-long-secret|Bearer abc/);
  await world.says(customer, number, "uno");
  const first = await world.until("the delivery", () => taken.find(({ path, event }) => path === "/mine" && event === "message"));
  assert.equal(first.headers.authorization, "Bearer abc");
  assert.ok(first.headers["x-webhook-hmac"], JSON.stringify(first.headers));

  // Changed: an empty secret stays what it was.
  await page.getByRole("button", { name: `Edit ${at("mine")}` }).click();
  const edit = page.getByRole("dialog", { name: "Edit webhook" });
  assert.equal(await field("Secret key", edit).inputValue(), "");
  assert.equal(await field("Secret key", edit).getAttribute("placeholder"), "unchanged");
  await world.accessible("webhook-edit");
  await field("All events", edit).check();
  assert.ok(await field("message", edit).isDisabled(), "all is all");
  await edit.getByRole("button", { name: "Save" }).click();
  await isSaved("all events", ({ webhooks }) => JSON.stringify(webhooks[1].events) === '["*"]');
  assert.equal((await settings()).webhooks[1].id, mine.id, "it is the same webhook");
  await world.says(customer, number, "dos");
  const second = await world.until("the next delivery", () => taken.find(({ path, event, payload }) => path === "/mine" && event === "message" && payload.body === "dos"));
  assert.equal(second.headers.authorization, "Bearer abc");
  assert.ok(second.headers["x-webhook-hmac"]);

  // A new address does not get the old one's secrets: they are asked for.
  await page.getByRole("button", { name: `Edit ${at("other")}` }).click();
  assert.ok(await field("engine.event", edit).isChecked(), "an event that never comes stays asked for");
  await field("Address", edit).fill(at("moved"));
  await edit.getByRole("button", { name: "Save" }).click();
  assert.equal(await edit.getByText("The address has changed: enter this again.").count(), 2);
  await field("Secret key", edit).fill("of-the-moved");
  await edit.getByRole("button", { name: "Remove header" }).click();
  await edit.getByRole("button", { name: "Save" }).click();
  await isSaved("the new address", ({ webhooks }) => webhooks[0].url === at("moved") && webhooks[0].customHeaders.length === 0 && webhooks[0].events.includes("engine.event"));

  // Removed, after a question.
  await page.getByRole("button", { name: `Remove ${at("moved")}` }).click();
  const confirm = page.getByRole("dialog", { name: "Remove this webhook?" });
  await world.accessible("webhook-remove");
  await confirm.getByRole("button", { name: "Remove" }).click();
  await page.getByText("Webhook removed").waitFor();
  await isSaved("one webhook", ({ webhooks, metadata }) => webhooks.length === 1 && webhooks[0].id === mine.id && metadata.restaurant === 7);

  // On a phone, in the dark, in Spanish.
  await page.getByRole("button", { name: "Español" }).click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByRole("button", { name: `Editar ${at("mine")}` }).click();
  const spanish = page.getByRole("dialog", { name: "Editar webhook" });
  await spanish.waitFor();
  await world.accessible("webhook-phone-dark");
  assert.ok(await spanish.evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth), "nothing is wider than the dialog");
  await spanish.getByRole("button", { name: "Guardar" }).scrollIntoViewIfNeeded();
  await world.picture("webhook-phone-dark-end");
  await page.keyboard.press("Escape");
  receiver.close();
  // What could not be delivered says why, in the reader's language.
  await world.says(customer, number, "tres");
  await page.getByText("no hay conexión").or(page.getByText("se cortó la conexión")).first().waitFor();
  await world.accessible("webhooks-phone-dark");
}
