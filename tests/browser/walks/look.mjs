// Looks at every page, narrow and wide, light and dark: axe's judgement, a picture, what the browser complained of, and
// whether something sticks out to the right.
import { mkdirSync } from "node:fs";
import { answer, axePath, base, login, screens, start, told, visit } from "./browser.mjs";
import { PAGES } from "./pages.mjs";

const browser = await start();
mkdirSync(screens, { recursive: true });
const way = await visit(browser);
await login(await way.newPage());
const signedIn = await way.storageState();
const violations = [], complaints = [], wide = [];
let looked = 0;

// What a colour scheme changes; everything else is judged once.
const OF_COLOURS = ["color-contrast", "link-in-text-block"];

async function look(page, path, name, width) {
  await page.evaluate(() => document.activeElement?.blur());
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${screens}/${name}-${width}-${scheme}.png`, fullPage: width < 600 });
    const rules = scheme === "light" ? {} : { runOnly: { type: "rule", values: OF_COLOURS } };
    const found = await page.evaluate((asked) => axe.run(document, { resultTypes: ["violations"], ...asked }), rules);
    for (const one of found.violations) {
      violations.push({ page: path, width, scheme, rule: one.id, what: one.help, where: one.nodes.slice(0, 4).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`) });
    }
    looked++;
  }
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) wide.push(`${path} at ${width}: ${over} px`);
}

for (const [width, height] of [[320, 720], [1920, 1080]]) {
  for (const [state, paths] of [[undefined, ["/login"]], [signedIn, told.paths ?? PAGES]]) {
    const context = await visit(browser, { storageState: state, viewport: { width, height } });
    await context.addInitScript({ path: axePath });
    const page = await context.newPage();
    let here = "";
    page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !message.location().url.endsWith("/no-such-page")) complaints.push(`${here}: ${message.text()}`); });
    page.on("pageerror", (error) => complaints.push(`${here}: ${error.message}`));
    for (const path of paths) {
      here = path;
      await page.goto(base + path);
      if (path === "/points") await page.waitForFunction(() => document.querySelector("#table [data-col=value].value")?.textContent);
      if (path === "/frames") await page.waitForSelector("#frames details");
      if (await page.locator("#ways").count()) await page.waitForSelector(".front li");
      await look(page, path, path.replace(/^\//, "").replaceAll("/", "-") || "overview", width);
      if (path === "/points") {
        await page.fill("#words", "watchdog_limit");
        await page.locator("#table .window button").first().click();
        await look(page, "/points, writing", "points-write", width);
        await page.keyboard.press("Escape");
      }
      if (path === "/frames") {
        await page.locator("#frames summary").first().click();
        await look(page, "/frames, one open", "frames-open", width);
      }
      if (path === "/" && width < 600) {
        await page.click("button.menu");
        await look(page, "/, menu", "menu", width);
      }
    }
    await context.close();
  }
}
await browser.close();
answer({ looked, violations, complaints, wide });
