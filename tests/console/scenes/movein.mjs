// A tenant comes from another gateway: its folder is chosen or its file dropped, looked at, and imported; what is wrong is said.

import { strict as assert } from "node:assert";
import { mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const FIXTURES = new URL("../../fixtures/import/", import.meta.url);
const INSTANCE = "6f1c7d1e-0000-4000-8000-1234567890ab";

/** A folder from the desktop, as the browser itself gets it: scripts cannot make one. */
async function drop(page, place, folder) {
  await place.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await place.boundingBox();
  const browser = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    const data = { items: [], files: [folder], dragOperationsMask: 1 };
    await browser.send("Input.dispatchDragEvent", { type, x: x + width / 2, y: y + height / 2, data });
  }
  await browser.detach();
}

export default async function movein(world) {
  const { page } = world;
  const store = JSON.parse(await readFile(new URL("baileys-7.json", FIXTURES), "utf8"));
  const root = await mkdtemp(path.join(tmpdir(), "movein-"));
  const folder = path.join(root, "trattoria");
  await mkdir(folder);
  for (const [name, text] of Object.entries(store)) await writeFile(path.join(folder, name), text);
  try {
    await world.signIn();
    await world.api("POST", "/api/sessions", { name: "trattoria", start: false });
    await world.api("POST", "/api/sessions", { name: "osteria", start: false });
    await world.go("#/t/trattoria/connection");
    const panel = page.getByRole("region", { name: "Bring it from another gateway" });
    await panel.getByText("There is no way back").waitFor();
    assert.equal(await panel.getByRole("listitem").count(), 4, "the order of the switch");
    await world.accessible("movein");

    // Nothing was chosen.
    const see = panel.getByRole("button", { name: "Look what would come" });
    await see.click();
    await panel.getByText("Choose a folder or a file first.").waitFor();

    // A file, dropped: credentials alone, of another number than is expected.
    const dropped = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "creds.json", { type: "application/json" }));
      return transfer;
    }, store["creds.json"]);
    const place = panel.locator(".drop");
    await place.dispatchEvent("dragover", { dataTransfer: dropped });
    assert.ok(await place.evaluate((node) => node.classList.contains("over")), "it shows that something can be dropped");
    await place.dispatchEvent("drop", { dataTransfer: dropped });
    await panel.getByText(/^Files: 1 /).waitFor();
    await panel.getByText("More", { exact: true }).click();
    const number = panel.getByLabel("Its phone number");
    await number.fill("+57 300 111 2233");
    world.rough = true;
    await see.click();
    await panel.getByText("not of 573001112233").waitFor();
    assert.ok(await number.evaluate((input) => input === document.activeElement), "the field that is wrong has the focus");
    world.rough = false;
    await number.fill("");

    // A folder, chosen; first a look, which changes nothing.
    const chooser = page.waitForEvent("filechooser");
    await panel.getByRole("button", { name: "Choose a folder" }).click();
    await (await chooser).setFiles(folder);
    await panel.getByText(new RegExp(`^Files: ${Object.keys(store).length} `)).waitFor();
    await see.click();
    await panel.getByText("It can be imported.").waitFor();
    await panel.getByText("No session comes along").waitFor();
    await panel.getByLabel("The old service was stopped for good before the copy was made").check();
    assert.equal(await panel.getByText("It can be imported.").count(), 0, "what was seen was of another choice");
    await see.click();
    await panel.getByText("It can be imported.").waitFor();
    const sessions = panel.locator("dt", { hasText: "Sessions with contacts" }).locator("xpath=following-sibling::dd[1]");
    assert.match(await sessions.innerText(), /^[1-9]\d* of \d+$/);
    await world.accessible("movein-seen");
    assert.equal((await world.api("GET", "/api/sessions/trattoria")).body.paired, false);

    await panel.getByRole("button", { name: "Import only" }).click();
    await page.getByText("Stopped on purpose.").waitFor();
    await page.getByText("Came from").waitFor();
    const { body } = await world.api("GET", "/api/sessions/trattoria");
    assert.deepEqual([body.paired, body.status], [true, "STOPPED"]);
    await page.getByRole("button", { name: "Connect", exact: true }).waitFor();

    // One device is one tenant; and the same page in Spanish.
    await world.go("#/t/osteria/connection");
    await page.getByRole("button", { name: "Español" }).click();
    const spanish = page.getByRole("region", { name: "Traerlo de otro sistema" });
    const again = page.waitForEvent("filechooser");
    await spanish.getByRole("button", { name: "Elegir una carpeta" }).click();
    await (await again).setFiles(folder);
    world.rough = true;
    await spanish.getByRole("button", { name: "Mirar qué vendría" }).click();
    await spanish.getByText("El dispositivo es de otro negocio.").waitFor();
    world.rough = false;
    await world.accessible("movein-spanish");
    await page.getByRole("button", { name: "English" }).click();

    // whatsmeow's database, and connected at once: it knocks at WhatsApp, which does not know the device here.
    await world.go("#/t/osteria/connection");
    const choice = panel.getByLabel("It comes from");
    await choice.selectOption("whatsmeow");
    const how = panel.getByRole("link", { name: "How its store is taken out" });
    assert.match(await how.getAttribute("href"), /\/docs\/guide\/move-in-whatsmeow$/);
    const database = page.waitForEvent("filechooser");
    await panel.getByRole("button", { name: "Choose files" }).click();
    await (await database).setFiles(fileURLToPath(new URL("whatsmeow.db", FIXTURES)));
    await see.click();
    await panel.getByText("It can be imported.").waitFor();
    world.rough = true;
    await panel.getByRole("button", { name: "Import and connect" }).click();
    await page.getByText("Imported", { exact: true }).waitFor();
    await world.until("the login", async () => (await world.control("GET", "/stats")).refused_logins > 0);
    world.rough = false;

    // Evolution's rows with their folder of keys, dropped from the desktop in one folder; one name is wrong first.
    const evolution = path.join(root, "evolution");
    const instance = path.join(evolution, "instances", INSTANCE);
    await mkdir(instance, { recursive: true });
    const six = JSON.parse(await readFile(new URL("baileys-6.json", FIXTURES), "utf8"));
    for (const [name, text] of Object.entries(six)) if (name !== "creds.json") await writeFile(path.join(instance, name), text);
    await writeFile(path.join(evolution, "Session.json"), JSON.stringify([{ sessionId: INSTANCE, creds: JSON.stringify(six["creds.json"]) }]));
    await world.api("POST", "/api/sessions", { name: "pizzeria", start: false });
    await world.go("#/t/pizzeria/connection");
    await choice.selectOption("evolution");
    await drop(page, place, evolution);
    await panel.getByText(new RegExp(`^Files: ${Object.keys(six).length} `)).waitFor();
    await panel.getByText("More", { exact: true }).click();
    const keys = panel.getByLabel("Folder of Evolution's keys");
    await keys.fill("evolution/instance");
    world.rough = true;
    await see.click();
    await panel.getByText("no file came that lies in this folder").waitFor();
    assert.ok(await keys.evaluate((input) => input === document.activeElement), "the field that is wrong has the focus");
    world.rough = false;
    await keys.fill("evolution/instances");
    await panel.getByLabel("Counters to skip").fill("100");
    await panel.getByLabel("The old service was stopped for good before the copy was made").check();
    await see.click();
    await panel.getByText("It can be imported.").waitFor();
    assert.match(await sessions.innerText(), /^([1-9]\d*) of \1$/);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
