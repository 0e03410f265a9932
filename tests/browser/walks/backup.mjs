// Makes a backup and keeps the file; then takes the place of this gateway with it, from the first visit on.
import { mkdirSync } from "node:fs";
import { answer, axePath, base, login, screens, start, told, visit } from "./browser.mjs";

const browser = await start();
mkdirSync(screens, { recursive: true });
const violations = [], complaints = [];
const context = await visit(browser, { viewport: { width: told.width, height: 900 }, acceptDownloads: true });
await context.addInitScript({ path: axePath });
const page = await context.newPage();
page.on("pageerror", (error) => complaints.push(error.message));

async function look(name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${screens}/${name}-${told.width}-${scheme}.png`, fullPage: true });
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const one of found.violations) violations.push({ name, scheme, rule: one.id, where: one.nodes.map((node) => String(node.target)) });
  }
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) violations.push({ name, over });
}

const deeds = {
  async make() {
    await login(page);
    await page.goto(`${base}/backup`);
    await look("backup");
    await page.fill("#f-passphrase", told.passphrase);
    await page.fill("#f-again", told.passphrase);
    const download = page.waitForEvent("download");
    await page.click("text=Make the backup");
    await (await download).saveAs(told.file);
    return { name: (await download).suggestedFilename() };
  },
  async replace() {
    await page.goto(base);
    const first = new URL(page.url()).pathname;
    await page.click("text=Restore a backup instead");
    await page.setInputFiles("#f-file", told.file);
    await page.fill("#f-secret", "not the passphrase");
    await page.click("text=Show the differences");
    const refused = await page.textContent("main .notice");
    await look("restore-refused");
    await page.setInputFiles("#f-file", told.file);
    await page.fill("#f-secret", told.passphrase);
    await page.click("text=Show the differences");
    const rows = await page.locator("main tbody tr").allTextContents();
    await look("restore");
    await page.click("main button.grave");
    await page.click("dialog button.grave");
    await page.waitForSelector("text=is in force");
    await look("restored");
    await page.click("main a.main");
    await login(page);
    return { first, refused, rows, last: new URL(page.url()).pathname };
  },
};

const seen = await deeds[told.deed]();
await browser.close();
answer({ ...seen, violations, complaints });
