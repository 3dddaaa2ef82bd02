// From the console to the API's page: its examples are copied, and calls are tried, with the console's key or another one.

import { strict as assert } from "node:assert";

export default async function calls(world) {
  const { page } = world;
  await world.api("POST", "/api/sessions", { name: "trattoria", start: false });
  await world.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await world.signIn();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "API" }).click();
  await page.waitForURL(`${world.url}/docs`);
  await page.getByText(/^\d+ operations$/).waitFor();
  await page.getByText("the console's key of this tab is used").waitFor();
  await world.accessible("docs");
  const open = async (id) => {
    const operation = page.locator(`#${id}`);
    await operation.evaluate((details) => { details.open = true; details.scrollIntoView(); });
    await operation.locator("form.try").waitFor();
    return operation;
  };
  const outcome = (operation) => operation.locator(".outcome");
  const status = (operation, code) => outcome(operation).locator("strong").getByText(code).waitFor();

  // Read.
  const one = await open("getSessionsSession");
  await one.getByRole("button", { name: "Copy the curl command" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, new RegExp(`^curl '${world.url}/api/sessions/`));
  await page.getByText("Copied.").waitFor();
  await one.getByLabel("session (path, required)").fill("trattoria");
  await one.getByRole("button", { name: "Send GET" }).click();
  await status(one, "200");
  await outcome(one).getByText('"name": "trattoria"').waitFor();
  await world.accessible("docs-tried");

  // A path is a path: what is typed does not lead elsewhere. Mistakes are shown as they come.
  world.rough = true;
  await one.getByLabel("session (path, required)").fill("../keys");
  await one.getByRole("button", { name: "Send GET" }).click();
  await status(one, /^40[04]/);
  world.rough = false;

  // Written, with the body that is typed.
  const make = await open("postSessions");
  const body = make.getByLabel("Body (JSON)");
  await body.fill("{ no JSON");
  await make.getByRole("button", { name: "Send POST" }).click();
  await outcome(make).getByText("No answer.").waitFor();
  await body.fill(JSON.stringify({ name: "from-the-docs", start: false }));
  await make.getByRole("button", { name: "Send POST" }).click();
  await status(make, "201");
  assert.equal((await world.api("GET", "/api/sessions/from-the-docs")).status, 200);
  await outcome(make).getByRole("button", { name: "Copy the answer" }).click();
  assert.equal(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())).name, "from-the-docs");

  // Another key than the console's; it is kept nowhere.
  const { body: key } = await world.api("POST", "/api/keys", { session: "trattoria", isAdmin: false, isActive: true });
  await page.getByLabel("Key, to try calls").fill(key.key);
  await page.getByText("It is forgotten with the page.").waitFor();
  world.rough = true;
  await one.getByLabel("session (path, required)").fill("from-the-docs");
  await one.getByRole("button", { name: "Send GET" }).click();
  await status(one, "403");
  world.rough = false;
  assert.deepEqual(await page.evaluate((secret) => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].filter((kept) => kept.includes(secret)), key.key), []);

  // Without the clipboard the text is selected.
  await page.evaluate(() => { Object.defineProperty(navigator, "clipboard", { value: undefined }); });
  await one.getByRole("button", { name: "Copy the curl command" }).click();
  await page.getByText("copy it with your keyboard").waitFor();
  assert.match(await page.evaluate(() => String(getSelection())), /^curl/);

  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await one.locator("form.try").scrollIntoViewIfNeeded();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await world.accessible("docs-phone-dark");
  await page.locator(".links").getByRole("link", { name: "Console", exact: true }).click();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
}
