// Who leaves a tenant hears of the answer that did not go out; and a tenant that is deleted is in the list no more.

export default async function left(world) {
  const { page } = world;
  const number = await world.paired("trattoria");
  const customer = await world.customer();
  await world.says(customer, number, "buenas");
  await world.signIn();
  world.rough = true;
  await page.getByRole("link", { name: "trattoria" }).click();
  await page.getByRole("list", { name: "Conversations" }).getByRole("link").click();
  await page.locator(".messages").getByText("buenas", { exact: true }).waitFor();

  let refuse = null;
  const asked = new Promise((resolve) => {
    page.route("**/api/sendText", async (route) => {
      const refused = new Promise((go) => { refuse = go; });
      resolve();
      await refused;
      await route.fulfill({ status: 503, json: { code: "vault_down", title: "The vault does not answer" } });
    });
  });
  await page.getByLabel("Write a message").and(page.locator("textarea")).fill("hoy no hay mesa");
  await page.keyboard.press("Enter");
  await asked;
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tenants" }).click();
  await page.locator('[data-tenant="trattoria"] [data-state="WORKING"]').waitFor();
  refuse();
  await page.locator(".toast", { hasText: "hoy no hay mesa" }).waitFor();

  // Deleted by another program while the list is looked at, and by this page.
  await world.paired("osteria");
  const row = (tenant) => page.locator(`[data-tenant="${tenant}"]`);
  await row("osteria").locator('[data-state="WORKING"]').waitFor();
  await world.api("DELETE", "/api/sessions/osteria");
  await row("osteria").waitFor({ state: "detached" });
  await row("trattoria").getByRole("link").click();
  await world.go("#/t/trattoria/connection");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Deleted: trattoria").waitFor();
  await row("trattoria").waitFor({ state: "detached" });
}
