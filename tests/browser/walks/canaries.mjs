// Markup in everything that charge points and BMS say: shown as the text that it is, on every page that shows it, and
// never an element, never run. `told.pages` maps a path to what must be read there.
import { answer, base, login, start, told, visit } from "./browser.mjs";

const browser = await start();
const page = await (await visit(browser, { viewport: { width: 1920, height: 1080 } })).newPage();
let here = "";
const run = [], parsed = [], unread = [], blocked = [];
page.on("dialog", async (dialog) => { run.push(`${here}: dialog ${dialog.message()}`); await dialog.dismiss(); });
page.on("console", (message) => { if (/Content Security Policy/.test(message.text())) blocked.push(`${here}: ${message.text().slice(0, 160)}`); });
await login(page);
for (const [path, texts] of Object.entries(told.pages)) {
  here = path;
  await page.goto(base + path);
  if (path === "/points") {
    await page.waitForFunction(() => Number(document.getElementById("table").getAttribute("aria-rowcount")) > 1);
    await page.fill("#words", told.search);
  }
  if (path === "/frames") {
    await page.waitForSelector("#frames details");
    for (const summary of await page.locator("#frames summary").all()) await summary.click();
  }
  for (const text of texts) {
    try {
      await page.waitForFunction((wanted) => document.body.innerText.includes(wanted), text, { timeout: told.patience_ms });
    } catch {
      unread.push(`${path}: ${text}`);
    }
  }
  await page.waitForTimeout(2500); // what is drawn anew every two seconds is drawn anew
  const found = await page.evaluate(() => ({ elements: document.querySelectorAll("x-c, [data-canary]").length, ran: window.canary }));
  if (found.elements) parsed.push(`${path}: ${found.elements}`);
  if (found.ran !== undefined) run.push(path);
}
await browser.close();
answer({ run, parsed, unread, blocked });
