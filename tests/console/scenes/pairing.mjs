// A tenant is added, pairs by what the screen shows, reconnects, and is unlinked.

import { strict as assert } from "node:assert";

import jsQR from "jsqr";
import { PNG } from "pngjs";

export default async function pairing(world) {
  const { page } = world;
  const number = await world.phone("Trattoria Da Ugo");
  await world.signIn();

  // What the server says of an id stands beside the field.
  await page.getByRole("button", { name: "Add tenant" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Add a tenant" });
  const id = dialog.getByLabel("Tenant id");
  assert.ok(await id.evaluate((input) => input === document.activeElement), "the field has the focus");
  world.rough = true;
  for (const [wrong, said] of [["", "Fill this in."], ["../etc", "Only A-Z, a-z"], ["Sessions", "This word is reserved."]]) {
    await id.fill(wrong);
    await page.keyboard.press("Enter");
    await dialog.getByText(said).waitFor();
    assert.equal(await id.getAttribute("aria-invalid"), "true");
  }
  world.rough = false;
  await world.accessible("add-tenant");
  await id.fill("trattoria");
  await page.keyboard.press("Enter");

  // The code on the screen, as a camera sees it.
  await page.getByRole("heading", { name: "trattoria" }).waitFor();
  const picture = page.getByRole("img", { name: "QR code to scan with WhatsApp" });
  await picture.waitFor();
  await world.accessible("pairing");
  const seen = async () => {
    const { width, height, data } = PNG.sync.read(await picture.screenshot());
    return jsQR(new Uint8ClampedArray(data), width, height)?.data;
  };
  const first = await world.until("a code that can be read", () => seen().catch(() => null));
  assert.equal(first.split(",").length, 5, `no pairing string: ${first}`);
  // A new one is shown by itself, here because the connection is a new one.
  await world.api("POST", "/api/sessions/trattoria/restart");
  const second = await world.until("another code", async () => {
    const now = await seen().catch(() => null);
    return now && now !== first ? now : null;
  });
  await world.control("POST", `/phones/${number}/scan`, { qr: second });
  await page.getByText("Connected to WhatsApp.").waitFor();
  await page.getByRole("banner").or(page.locator(".who")).getByText("Connected", { exact: true }).waitFor();
  await page.locator(".who").getByText("Trattoria Da Ugo").waitFor();
  await world.accessible("connected");

  // A new connection with the same credentials.
  const session = async () => (await world.api("GET", "/api/sessions/trattoria")).body;
  const before = (await session()).timestamps.activity;
  const reconnect = page.getByRole("button", { name: "Reconnect" });
  await reconnect.click();
  await world.until("the new connection", async () => {
    const { status, timestamps } = await session();
    return status === "WORKING" && timestamps.activity > before;
  });
  await page.locator('.who [data-state="WORKING"]').waitFor();
  assert.ok(await reconnect.evaluate((button) => button === document.activeElement), "the focus stays where it was");
  assert.equal((await world.control("GET", "/stats")).pairings, 1);

  // Another process has taken it over, as this one is told: that is said, is no alarm, and it can be connected here.
  let isMoved = true;
  const address = "**/api/sessions/trattoria";
  const problem = { title: "Another process serves this tenant", status: 503, code: "owned_elsewhere", error: "Another process serves this tenant" };
  await page.route(address, async (route) => {
    if (!isMoved) return route.continue();
    return route.fulfill({ status: 503, contentType: "application/problem+json", headers: { "retry-after": "2" }, body: JSON.stringify(problem) });
  });
  world.rough = true;
  await reconnect.click();
  const here = page.getByRole("button", { name: "Connect here" });
  await here.waitFor();
  assert.ok(await reconnect.isHidden(), "there is no connection here to make anew");
  await page.locator(".who").getByText("In another process").waitFor();
  assert.equal(await page.locator(".part .empty").count(), 0, "it is no alarm");
  await world.accessible("moved");
  isMoved = false;
  const started = page.waitForRequest((sent) => sent.method() === "POST" && sent.url().endsWith("/api/sessions/trattoria/start"));
  await here.click();
  await started;
  await reconnect.waitFor();
  assert.ok(await here.isHidden(), "it is connected here");
  await page.unroute(address);
  await page.locator('.who [data-state="WORKING"]').waitFor();
  world.rough = false;

  // Unlinking asks first; the careful answer changes nothing.
  const out = page.getByRole("button", { name: "Unlink" });
  const confirm = page.getByRole("dialog", { name: "Unlink trattoria?" });
  await out.click();
  await confirm.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel");
  await world.accessible("unlink");
  await page.keyboard.press("Enter");
  await confirm.waitFor({ state: "detached" });
  assert.equal((await world.control("GET", `/phones/${number}/devices`)).length, 1);
  assert.ok(await out.evaluate((button) => button === document.activeElement), "the focus is back");
  await out.click();
  await confirm.getByRole("button", { name: "Unlink" }).click();
  await world.until("the device to be unlinked", async () => (await world.control("GET", `/phones/${number}/devices`)).length === 0);

  // Another number needs the operator's word, which can be taken back.
  await page.getByText("Only the number").waitFor();
  await page.getByRole("button", { name: "Allow another number" }).click();
  const choice = page.getByRole("dialog", { name: "Another number for trattoria?" });
  await choice.waitFor();
  await world.accessible("another-number");
  await choice.getByRole("button", { name: "Keep them closed" }).click();
  await page.getByText("The next scan may be another number's than").waitFor();
  assert.equal((await world.api("GET", "/api/sessions/trattoria/account")).body.change.conversations, "keep");
  await page.getByRole("button", { name: "Take that back" }).click();
  await page.getByText("Only the number").waitFor();

  // The other way: a code typed into the phone.
  const field = page.getByLabel("Phone number", { exact: true });
  await field.waitFor();
  world.rough = true;
  await field.fill("12");
  await page.getByRole("button", { name: "Get a code" }).click();
  await page.getByText("Give a phone number with its country code.").waitFor();
  world.rough = false;
  await field.fill(`+${number}`);
  await page.getByRole("button", { name: "Get a code" }).click();
  const code = page.locator("[data-code]");
  await code.waitFor();
  assert.match(await code.innerText(), /^[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  await world.accessible("pairing-code");
  // WhatsApp takes nothing that comes of it: the page says so, and shows it no longer.
  await world.control("POST", "/faults", { kind: "iq-error", xmlns: "md", code: 400, count: 1 });
  const typed = world.control("POST", `/phones/${number}/link-code`, { code: await code.getAttribute("data-code") }).catch(() => null);
  await page.getByText("WhatsApp refused the code that was typed (400)").first().waitFor();
  await code.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Get a code" }).click();
  await code.waitFor();
  await typed;
  await world.control("POST", `/phones/${number}/link-code`, { code: await code.getAttribute("data-code") });
  await page.getByText("Connected to WhatsApp.").waitFor();
}
