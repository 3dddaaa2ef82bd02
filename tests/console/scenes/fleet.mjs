// Three hundred tenants: what is searched, shown and sorted is in the address, and is there again after a visit; who needs somebody stands
// first; reasons are in the reader's language; a tenant is deleted.

import { strict as assert } from "node:assert";

const MANY = 300;
const PAIRED = 24;

export default async function fleet(world) {
  const { page } = world;
  const ids = Array.from({ length: MANY }, (_, n) => `local-${n + 1}`);
  const numbers = await everybody(world, ids);

  // One stopped on purpose, one unlinked by its phone.
  const [stopped, unlinked, working, talker] = ids;
  assert.equal((await world.api("POST", `/api/sessions/${stopped}/stop`)).status, 201);
  const [device] = await world.control("GET", `/phones/${numbers.get(unlinked)}/devices`);
  await world.control("DELETE", `/phones/${numbers.get(unlinked)}/devices/${device.id ?? device}`);
  await world.until("the logout", async () => (await world.api("GET", `/api/sessions/${unlinked}`)).body.rejected);
  const customer = await world.customer();
  await world.says(customer, numbers.get(talker), "buenas");

  // Some have names.
  const names = { [working]: "Pizzería Ñandú", [talker]: "Arepas del Valle", "local-250": "Zapatería Única" };
  for (const [id, displayName] of Object.entries(names)) {
    assert.equal((await world.api("PUT", `/api/sessions/${id}`, { displayName })).status, 200);
  }

  await world.signIn();
  const rows = page.locator("tbody tr");
  await world.until("all of them", async () => (await rows.count()) === MANY);
  const order = () => rows.evaluateAll((all) => all.map((row) => row.dataset.tenant));
  const query = () => page.evaluate(() => location.hash);
  const filter = (name) => page.getByRole("button", { name: new RegExp(`^${name}`) });

  // By need: the one that WhatsApp unlinked first; the stopped one after all that could be paired, and it needs nobody.
  await page.locator(`[data-tenant="${working}"] [data-state="WORKING"]`).waitFor();
  const byNeed = await order();
  assert.equal(byNeed[0], unlinked);
  assert.ok(byNeed.indexOf(stopped) > byNeed.indexOf("local-300"), "a stopped session is as its owner wants it");
  assert.ok(byNeed.indexOf(stopped) < byNeed.indexOf(working), "and stands before those that work");
  await page.locator(`[data-tenant="${unlinked}"]`).getByText("Unlinked by WhatsApp").waitFor();
  await filter("Need attention").click();
  await world.until("one in need", async () => (await rows.count()) === 1);
  assert.equal(await query(), "#/?show=ill");
  await filter("Stopped").click();
  await page.locator(`[data-tenant="${stopped}"]`).waitFor();
  assert.deepEqual(await order(), [stopped]);
  await filter("All").click();
  assert.equal(await query(), "#/");
  await world.accessible("fleet");

  // By name, as people count, and by the last message.
  const sort = page.getByLabel("Sort by");
  await sort.selectOption("Name");
  assert.deepEqual((await order()).slice(0, 3), [talker, "local-1", "local-2"], "a directory's name counts, and 10 comes after 9");
  await sort.selectOption("Last message");
  assert.equal((await order())[0], talker);

  // A search finds names without their accents, and numbers as people write them.
  const search = page.getByRole("searchbox");
  for (const [words, wanted] of [["nandu pizzeria", working], ["unica", "local-250"], [`+${numbers.get(talker).slice(0, 3)} ${numbers.get(talker).slice(3)}`, talker], ["unlinked by", undefined], ["logged this device out", unlinked]]) {
    await search.fill(words);
    await world.until(words, async () => JSON.stringify(await order()) === JSON.stringify(wanted ? [wanted] : []));
  }
  await search.fill("local");
  await filter("Not paired").click();
  assert.equal(await query(), "#/?q=local&show=unpaired&sort=last");

  // Down the list, into a tenant, and back: by the arrow, by the browser's Back, by the navigation, after a reload there.
  const target = page.locator('[data-tenant="local-200"]');
  await target.scrollIntoViewIfNeeded();
  await page.evaluate(() => scrollBy(0, 200));
  await world.until("the place in the address", async () => /&at=local-\d+$/.test(await query()));
  const left = await query();
  const top = await target.evaluate((row) => Math.round(row.getBoundingClientRect().top));
  const isBack = async (how) => {
    await target.waitFor();
    await world.until(`the place, ${how}`, async () => Math.abs((await target.evaluate((row) => Math.round(row.getBoundingClientRect().top))) - top) < 60);
    assert.deepEqual([await search.inputValue(), await sort.inputValue(), await filter("Not paired").getAttribute("aria-pressed")], ["local", "last", "true"], how);
    await world.until(`the address, ${how}`, async () => (await query()).startsWith(left.replace(/&at=.*/, "&at=local-")));
  };
  const visit = async () => {
    await target.getByRole("link").click();
    await page.getByRole("heading", { name: "local-200", level: 1 }).waitFor();
  };
  // By keyboard, upwards: the focus is never behind what stays in sight.
  await target.getByRole("link").focus();
  for (let n = 0; n < 12; n += 1) {
    await page.keyboard.press("ArrowUp");
    const [link, tools] = await page.evaluate(() => [document.activeElement.getBoundingClientRect().top, document.querySelector(".tools").getBoundingClientRect().bottom]);
    assert.ok(link >= tools - 1, "the focus is hidden");
  }
  await world.until("another place", async () => (await query()) !== left);
  await page.evaluate((hash) => { location.hash = hash; }, left);
  await isBack("by the address");
  await visit();
  await world.accessible("fleet-unpaired-tenant");
  await page.getByRole("link", { name: "All tenants" }).click();
  await isBack("by the arrow");
  assert.ok(await target.getByRole("link").evaluate((link) => link === document.activeElement), "the focus is on the tenant that was looked at");
  await world.picture("fleet-back");
  await visit();
  await page.goBack();
  await isBack("by the browser");
  await visit();
  await page.reload();
  await page.getByRole("heading", { name: "local-200", level: 1 }).waitFor();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tenants" }).click();
  await isBack("after a reload");
  await page.reload();
  await isBack("reloaded");
  // In another language it is the same place.
  await page.getByRole("button", { name: "Español" }).click();
  await page.getByLabel("Ordenar por").waitFor();
  assert.equal(await search.inputValue(), "local");
  await target.waitFor();

  // In Spanish nothing that the daemon says stays in English.
  await page.getByRole("navigation", { name: "Principal" }).getByRole("link", { name: "Negocios" }).click();
  await world.until("all again", async () => (await query()) === "#/" && (await rows.count()) === MANY);
  await page.locator(`[data-tenant="${unlinked}"]`).getByText("WhatsApp desvinculó este dispositivo: escanee otra vez").waitFor();
  await page.locator(`[data-tenant="${stopped}"]`).getByText("detenido a propósito").waitFor();
  const english = await page.locator('main [lang="en"]').allInnerTexts();
  assert.deepEqual(english, [], "what nobody translated");
  await search.fill("desvinculo este dispositivo");
  await world.until("a search for a reason", async () => JSON.stringify(await order()) === JSON.stringify([unlinked]));
  await search.fill("");
  await world.accessible("fleet-spanish");
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await world.accessible("fleet-dark");
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
  await world.accessible("fleet-phone-dark");
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await page.evaluate(() => scrollTo(0, 0));
  await world.accessible("fleet-phone");

  // A stopped one says so, and is connected again; the word for what unlinks is the right one.
  await page.locator(`[data-tenant="${stopped}"]`).getByRole("link").click();
  await page.getByRole("link", { name: "Conexión" }).click();
  await page.getByText("Detenido a propósito.").waitFor();
  await world.accessible("stopped-phone");
  await page.setViewportSize({ width: 1280, height: 800 });
  await world.accessible("stopped");
  assert.equal(await page.getByText("Cerrar sesión").count(), 0);
  await page.getByRole("button", { name: "Conectar", exact: true }).click();
  await page.locator('.who [data-state="WORKING"]').waitFor();
  await page.getByRole("button", { name: "Detener" }).click();
  await page.locator('.who [data-state="STOPPED"]').waitFor();

  // Deleted: asked first, then gone, here and at WhatsApp.
  const remove = page.getByRole("button", { name: "Borrar" });
  const confirm = page.getByRole("dialog", { name: `¿Borrar ${stopped}?` });
  await remove.click();
  await confirm.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancelar");
  await world.accessible("delete");
  await page.keyboard.press("Enter");
  await confirm.waitFor({ state: "detached" });
  assert.equal((await world.control("GET", `/phones/${numbers.get(stopped)}/devices`)).length, 1);
  await remove.click();
  await confirm.getByRole("button", { name: "Borrar" }).click();
  await page.getByRole("heading", { name: "Negocios", level: 1 }).waitFor();
  await page.getByText(`Borrado: ${stopped}`).waitFor();
  assert.equal((await world.control("GET", `/phones/${numbers.get(stopped)}/devices`)).length, 0);
  // The list says what the API says.
  const { body: listed } = await world.api("GET", "/api/sessions?all=true");
  await page.reload();
  await world.until("the list again", async () => (await rows.count()) === listed.length);
  assert.equal(await page.locator(`[data-tenant="${stopped}"]`).count(), listed.filter(({ name }) => name === stopped).length);

  // Signing out forgets what was searched.
  await search.fill("secreto");
  await page.getByRole("button", { name: "Salir" }).click();
  await page.locator("input[type=password]").waitFor();
  assert.deepEqual(await page.evaluate(() => ({ ...sessionStorage })), {});
}

/** All tenants, some of them paired, a few at a time. */
async function everybody(world, ids) {
  const numbers = new Map();
  const waiting = [...ids.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [n, id] = next;
      if (n < PAIRED) numbers.set(id, await world.paired(id, `Local ${n + 1}`));
      else await world.api("POST", "/api/sessions", { name: id, start: false });
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  return numbers;
}
