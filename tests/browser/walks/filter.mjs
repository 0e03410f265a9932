// How long the table of points takes from a key pressed in its search field to the rows painted.
import { answer, base, login, start, visit } from "./browser.mjs";

const browser = await start();
const page = await (await visit(browser, { viewport: { width: 1920, height: 1080 } })).newPage();
await login(page);
await page.goto(`${base}/points`);
await page.waitForFunction(() => Number(document.getElementById("table").getAttribute("aria-rowcount")) > 1);
const all = await page.evaluate(() => Number(document.getElementById("table").getAttribute("aria-rowcount")) - 1);
const took = [];
for (const words of ["p", "po", "power", "power_l", "power_l1_w cp007", "", "limit 20", "21666", "x", "zzz", "connector 2 status", ""]) {
  took.push(await page.evaluate((text) => new Promise((resolve) => {
    const field = document.getElementById("words");
    field.value = text;
    const from = performance.now();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.querySelector("#table .window").getBoundingClientRect(); // style and layout are part of it
    const shown = Number(document.getElementById("table").getAttribute("aria-rowcount")) - 1;
    requestAnimationFrame(() => resolve({ text, shown, script_ms: performance.now() - from }));
  }), words));
}
// A value written from here is read back from the row.
await page.fill("#words", "watchdog_limit");
const row = page.locator("#table .window [role=row]").first();
await row.locator("button").click();
await page.fill("#write-value", "7.5");
await page.click("#write-go");
await page.waitForFunction(() => document.querySelector("#table .window [role=row] [data-col=value]").textContent.includes("7.5"));
const elements = await page.evaluate(() => document.querySelectorAll("#table .window [role=row]").length);
await page.fill("#words", "");
const painted = await page.evaluate(() => document.querySelectorAll("#table .window [role=row]").length);
await browser.close();
answer({ all, took, elements, painted });
