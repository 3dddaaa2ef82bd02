// Webhooks that fail and are sent again; keys that are made, seen once, renewed, switched off and revoked.

import { strict as assert } from "node:assert";
import http from "node:http";

export default async function desk(world) {
  const { page } = world;
  let taking = false;
  const taken = [];
  const receiver = http.createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      const { payload } = JSON.parse(body);
      // It takes others: a receiver that refuses everything is one that is down, and is waited for.
      const refuses = !taking && payload.body === "refuse me";
      if (!refuses) taken.push(payload.body);
      response.writeHead(refuses ? 400 : 204, { connection: "close" }).end();
    });
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${receiver.address().port}/hook`;
  const number = await world.paired("trattoria");
  const [customer, other] = [await world.customer(), await world.customer()];
  await world.signIn();
  await page.getByRole("link", { name: "trattoria" }).click();
  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByText("No webhooks are set up.").waitFor();
  await world.accessible("webhooks-none");
  const hook = { url, events: ["message"], hmac: { key: "secret-of-the-receiver" }, retries: { policy: "constant", delaySeconds: 0.1, attempts: 2 }, customHeaders: [{ name: "X-Desk", value: "secret-of-the-header" }] };
  assert.equal((await world.api("PUT", "/api/trattoria/webhooks", { webhooks: [hook] })).status, 200);
  await page.getByRole("heading", { name: url }).waitFor();
  await page.getByText("signed with a key").waitFor();
  for (const text of ["take 1", "take 2", "take 3"]) await world.says(other, number, text);
  await world.says(customer, number, "refuse me");
  for (const text of ["take 4", "take 5", "take 6"]) await world.says(other, number, text);
  const failure = page.locator("[data-failure]");
  await failure.waitFor();
  assert.equal(await failure.count(), 1);
  assert.match(await failure.innerText(), new RegExp(`message[^]*${customer}@c.us[^]*attempts: \\d`));
  assert.doesNotMatch(await page.content(), /secret-of-the/);
  await world.accessible("webhooks-failed");
  taking = true;
  await failure.getByRole("button", { name: "Send again" }).click();
  await world.until("the delivery", () => taken.includes("refuse me"));
  await page.getByText("Nothing failed.").waitFor();
  assert.equal(taken.filter((text) => text === "refuse me").length, 1);
  receiver.close();

  // Keys of this tenant.
  await page.getByRole("navigation", { name: "Parts of this tenant" }).getByRole("link", { name: "Keys" }).click();
  await page.getByText("There are no keys but the admin key.").waitFor();
  await page.getByRole("button", { name: "New key" }).click();
  const dialog = page.getByRole("dialog", { name: "New key" });
  assert.equal(await dialog.getByLabel("Tenant").inputValue(), "trattoria");
  await dialog.getByLabel("send").uncheck();
  await world.accessible("key-new");
  await dialog.getByRole("button", { name: "Make the key" }).click();
  const once = page.getByRole("dialog", { name: "The new key" });
  const key = await once.locator("code").innerText();
  assert.match(key, /^key_[\w-]{43}$/);
  await world.accessible("key-once");
  await world.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await once.getByRole("button", { name: "Copy" }).click();
  await world.until("the copy", async () => (await page.evaluate(() => navigator.clipboard.readText())) === key);
  await once.getByRole("button", { name: "I have it" }).click();
  const row = page.locator("[data-key]");
  await row.waitFor();
  assert.ok(!(await page.content()).includes(key), "it is shown once");
  assert.deepEqual(await row.locator(".chip").allInnerTexts(), ["read"]);
  await row.getByText("never").waitFor();

  // It opens what it says; its use is seen; off, it does not.
  const asked = async (method, route, as) => (await fetch(`${world.url}${route}`, { method, headers: { "X-Api-Key": as, "Content-Type": "application/json" }, body: method === "POST" ? "{}" : undefined })).status;
  assert.equal(await asked("GET", "/api/sessions/trattoria", key), 200);
  assert.equal(await asked("POST", "/api/sessions/trattoria/restart", key), 403);
  await row.getByRole("button", { name: "Switch off" }).click();
  await row.getByText("off", { exact: true }).waitFor();
  assert.equal(await asked("GET", "/api/sessions/trattoria", key), 401);
  await row.getByRole("button", { name: "Switch on" }).click();
  await row.getByRole("button", { name: "Switch off" }).waitFor();
  assert.equal(await asked("GET", "/api/sessions/trattoria", key), 200);
  assert.deepEqual(await row.locator(".chip").allInnerTexts(), ["read"], "its scopes are as they were");
  await row.getByText("just now").last().waitFor();

  // Renewed: the old one is dead. Revoked: both.
  await row.getByRole("button", { name: "Renew" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Renew" }).click();
  const renewed = await once.locator("code").innerText();
  await page.keyboard.press("Escape");
  assert.notEqual(renewed, key);
  assert.deepEqual([await asked("GET", "/api/sessions/trattoria", key), await asked("GET", "/api/sessions/trattoria", renewed)], [401, 200]);

  // A key of the operator says what it is.
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Keys" }).click();
  await page.getByRole("heading", { name: "Keys", level: 1 }).waitFor();
  await page.getByRole("button", { name: "New key" }).click();
  await dialog.getByText("may do everything, for all tenants").waitFor();
  world.rough = true;
  await dialog.getByLabel("Tenant").fill("../etc");
  await dialog.getByRole("button", { name: "Make the key" }).click();
  await dialog.getByText("Only A-Z, a-z").waitFor();
  world.rough = false;
  await dialog.getByLabel("Tenant").fill("");
  await dialog.getByRole("button", { name: "Make the key" }).click();
  await once.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("row").getByText("everything").waitFor();
  await world.accessible("keys");
  const mine = page.locator("[data-key]", { hasText: "trattoria" });
  await mine.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await mine.waitFor({ state: "detached" });
  assert.equal(await asked("GET", "/api/sessions/trattoria", renewed), 401);
}
