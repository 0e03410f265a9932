// How long after a charge point sent a frame it stands on the page, in milliseconds. The frame says when it was sent, and
// the browser reads the same clock.
import { answer, base, login, start, told, visit } from "./browser.mjs";

const browser = await start();
const page = await (await visit(browser)).newPage();
await login(page);
await page.addInitScript(() => {
  window.heard = [];
  const Plain = window.EventSource;
  window.EventSource = class extends Plain {
    constructor(url) {
      super(url);
      this.addEventListener("message", (event) => {
        const line = JSON.parse(event.data);
        // Two frames later what the page's own listener drew is painted.
        const sent = line.type === "frame" && line.text.match(/"data":\s*"(\d+\.\d+)"/);
        if (sent) requestAnimationFrame(() => requestAnimationFrame(() => window.heard.push(Date.now() - 1000 * sent[1])));
      });
    }
  };
});
await page.goto(`${base}/frames`);
await page.waitForFunction((count) => window.heard.length >= count, told.frames);
const lags = await page.evaluate(() => window.heard);
// A request and its answer are one line; pausing stops the list, and going on shows what came meanwhile.
await page.waitForSelector("#frames details[data-kind=answered]");
const took = await page.locator("#frames details[data-kind=answered] .took").first().textContent();
await page.click("#pause");
await page.waitForTimeout(300);
const before = await page.locator("#frames details").count();
await page.waitForFunction(() => /[1-9]\d* came meanwhile/.test(document.getElementById("tally").textContent));
const during = await page.locator("#frames details").count();
await page.click("#pause");
await page.waitForFunction((count) => document.querySelectorAll("#frames details").length > count, before);
await page.selectOption("#action", "Heartbeat");
await page.waitForTimeout(200);
const actions = await page.locator("#frames .action").allTextContents();
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#export")]);
const stream = await download.createReadStream();
let file = "";
for await (const piece of stream) file += piece;
await browser.close();
answer({ lags, took, before, during, actions: [...new Set(actions)], exported: file.trim().split("\n") });
