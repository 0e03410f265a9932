// Nothing but the keyboard: log in, reach every control of every page in turn and see where one is, then adopt, write a
// register and copy an address.
import { answer, base, password, start, visit } from "./browser.mjs";
import { PAGES } from "./pages.mjs";

const browser = await start();
const context = await visit(browser, { viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
await page.goto(`${base}/login`);
await page.waitForFunction(() => document.activeElement.id === "f-name");
await page.keyboard.type("admin");
await page.keyboard.press("Tab");
await page.keyboard.type(password);
await page.keyboard.press("Enter");
await page.waitForURL((url) => url.pathname === "/");

const missed = [], unseen = [];
let reached = 0;
for (const path of PAGES) {
  await page.goto(base + path);
  await page.waitForTimeout(150);
  const seen = await page.evaluate(() => {
    const can = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
      .filter((element) => !element.disabled && element.type !== "hidden" && element.checkVisibility({ visibilityProperty: true }) && element.tabIndex >= 0
        && !element.closest("#live, #table, #frames")); // these are drawn anew while one tabs
    can.forEach((element, index) => { element.dataset.reach = index; });
    // Of a group of radio buttons the arrow keys reach the others.
    const radios = new Set(can.filter((element) => element.type === "radio" && !element.checked).map((element) => element.dataset.reach));
    return { count: can.length, radios: [...radios] };
  });
  const got = new Set();
  await page.evaluate(() => { document.activeElement.blur(); window.scrollTo(0, 0); });
  for (let step = 0; step < 260 && got.size < seen.count - seen.radios.length; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { reach: element.dataset?.reach, shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, what: element.outerHTML?.slice(0, 80) };
    });
    if (at.reach === undefined) continue;
    if (!at.shown) unseen.push(`${path}: ${at.what}`);
    got.add(at.reach);
  }
  reached += got.size;
  const radios = new Set(seen.radios);
  for (let index = 0; index < seen.count; index++) {
    if (!got.has(String(index)) && !radios.has(String(index))) {
      missed.push(`${path}: ${await page.evaluate((at) => document.querySelector(`[data-reach="${at}"]`)?.outerHTML.slice(0, 100), index)}`);
    }
  }
}

// The way past the list of pages, straight to the content.
await page.goto(base);
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
const skipped = await page.evaluate(() => document.activeElement.id);

// Write a register: search, go to the row's button, type, confirm.
await page.goto(`${base}/points`);
await page.waitForFunction(() => Number(document.getElementById("table").getAttribute("aria-rowcount")) > 1);
await page.focus("#words");
await page.keyboard.type("watchdog_limit");
await page.waitForFunction(() => document.querySelectorAll("#table .window [role=row]").length === 1);
const active = () => page.evaluate(() => document.activeElement.textContent);
for (let step = 0; step < 12 && (await active()) !== "Write"; step++) await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await page.waitForSelector("#write[open]");
await page.keyboard.type("9.5");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelector("#table .window [data-col=value].value")?.textContent.includes("9.5"));
const written = await page.locator("#table .window [data-col=value].value").first().textContent();
await browser.close();
answer({ missed, unseen, reached, skipped, written });
