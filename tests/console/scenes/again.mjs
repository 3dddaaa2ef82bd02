// Questions that nobody answered are asked again: what a tenant is called, its keys, its code while the line is down.
// And what a tenant is called is set here.

import { strict as assert } from "node:assert";

export default async function again(world) {
  const { page } = world;
  const line = await world.line();
  await world.api("POST", "/api/sessions", { name: "trattoria", displayName: "Da Nino", start: false });
  await world.signIn();

  // By its address: the list has told no name.
  let fails = true;
  const failing = (pattern) => page.route(pattern, async (route) => (fails ? route.fulfill({ status: 503, json: { code: "vault_down", title: "The vault does not answer" } }) : route.continue()));
  await failing("**/api/tenant/trattoria");
  await failing("**/api/keys");
  await page.goto(`${world.url}/console/#/t/trattoria/keys`);
  await page.reload();
  await page.getByText("The vault does not answer").first().waitFor();
  await page.getByRole("heading", { name: "trattoria", level: 1 }).waitFor();
  fails = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("There are no keys but the admin key.").or(page.locator("table.keys")).first().waitFor();
  await page.getByRole("heading", { name: "Da Nino", level: 1 }).waitFor();

  // A code whose fetch failed, and no line to announce the next one.
  await world.api("POST", "/api/sessions/trattoria/start");
  await world.until("a code", async () => (await world.api("GET", "/api/sessions/trattoria")).body.status === "SCAN_QR_CODE");
  await line.cut();
  fails = true;
  await failing("**/api/trattoria/auth/qr");
  await world.go("#/t/trattoria/connection");
  await page.locator(".qr .blank").waitFor();
  fails = false;
  await page.locator(".qr img").waitFor();
  assert.equal(await page.locator(".qr .blank").count(), 0);

  // Its name is set here, and taken away: then it is called by its id.
  const called = page.getByRole("textbox", { name: "Name", exact: true });
  assert.equal(await called.inputValue(), "Da Nino");
  for (const [name, heading] of [["Nino e figli", "Nino e figli"], ["", "trattoria"]]) {
    await called.fill(name);
    await page.getByRole("button", { name: "Save name" }).click();
    await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    const { body } = await world.api("GET", "/api/tenant/trattoria");
    assert.equal(body.tenant.name, name || null);
  }
  // A new one may have one from the beginning.
  await world.go("#/");
  await page.getByRole("button", { name: "Add tenant" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Add a tenant" });
  await dialog.getByLabel("Tenant id").fill("osteria");
  await dialog.getByLabel("Name", { exact: true }).fill("Osteria Nera");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Osteria Nera", level: 1 }).waitFor();
  assert.equal((await world.api("GET", "/api/tenant/osteria")).body.tenant.name, "Osteria Nera");
}
