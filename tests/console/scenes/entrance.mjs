// Who comes in, and what is seen first.

import { strict as assert } from "node:assert";

export default async function entrance(world) {
  const { page } = world;
  await world.paired("trattoria", "Trattoria Da Ugo");
  const customer = await world.customer();
  await world.api("POST", "/api/sessions", { name: "pizzeria", start: false });

  // The root leads here, and nothing is seen without a key.
  await page.goto(`${world.url}/`);
  assert.equal(page.url(), `${world.url}/console/`);
  await world.accessible("sign-in");
  world.rough = true;
  for (const wrong of ["nonsense", "kéy with späces"]) {
    await page.getByLabel("Admin key").fill(wrong);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This key is not valid.").waitFor();
    assert.equal(await page.getByLabel("Admin key").getAttribute("aria-invalid"), "true");
  }
  const { body: made } = await world.api("POST", "/api/keys", { session: "trattoria", isAdmin: false, isActive: true });
  await page.getByLabel("Admin key").fill(made.key);
  await page.keyboard.press("Enter");
  await page.getByText("This is a tenant's key.").waitFor();
  await page.getByLabel("Admin key").fill("");
  await page.keyboard.press("Enter");
  await page.getByText("Fill this in.").waitFor();
  world.rough = false;

  await page.getByLabel("Admin key").fill(world.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  assert.equal(page.url(), `${world.url}/console/`);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tenants" }).click();
  await page.getByRole("heading", { name: "Tenants", level: 1 }).waitFor();
  const row = page.getByRole("row", { name: "trattoria" });
  await row.getByText("Connected", { exact: true }).waitFor();
  await row.getByText("Trattoria Da Ugo").waitFor();
  await page.getByRole("row", { name: "pizzeria" }).getByText("Not paired").waitFor();
  // What happens is seen without a click: a first message, a first heartbeat.
  const [, , , last, beat] = await row.getByRole("cell").all();
  assert.equal(await last.innerText(), "—");
  const { body: session } = await world.api("GET", "/api/sessions/trattoria");
  await world.says(customer, session.me.id.split("@")[0], "buona sera");
  await last.getByText("just now").waitFor();
  await world.until("a heartbeat", async () => /now|ago/.test(await beat.innerText()));
  await world.accessible("tenants");

  await page.getByRole("searchbox").fill("pizz");
  await row.waitFor({ state: "detached" });
  await page.getByRole("searchbox").fill("da ugo");
  await row.waitFor();
  await page.getByRole("searchbox").fill("nobody");
  await page.getByText("Nothing matches.").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "Not paired" }).click();
  await row.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "All", exact: false }).first().click();
  await row.waitFor();

  // It is this tab's: a reload stays in, signing out forgets it.
  await page.reload();
  await row.waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), "{}");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Admin key").waitFor();
  assert.deepEqual(await page.evaluate(() => [{ ...sessionStorage }, { ...localStorage }, document.cookie]), [{}, {}, ""]);
  await page.reload();
  await page.getByLabel("Admin key").waitFor();

  // A key that is revoked while somebody works with it.
  const { body: second } = await world.api("POST", "/api/keys", { isAdmin: true, isActive: true });
  await page.getByLabel("Admin key").fill(second.key);
  await page.keyboard.press("Enter");
  await row.waitFor();
  world.rough = true;
  await world.api("DELETE", `/api/keys/${second.id}`);
  await page.getByText("no longer accepted").waitFor();
}
