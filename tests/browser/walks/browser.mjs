// What every walk shares: a fresh Chromium, the way in, and a counter of what a person would have to do.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.MODULES, "x.js"));
export const { chromium } = require("playwright-core");
export const axePath = require.resolve("axe-core/axe.min.js");
export const base = process.env.BASE;
export const password = process.env.PASSWORD;
export const told = JSON.parse(process.env.TOLD ?? "{}");
export const screens = process.env.SCREENS;

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];
const PATIENCE_MS = 30000; // a loaded machine is slow; nothing here measures with it

export async function start() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  return browser;
}

export async function visit(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

export async function claim(page) {
  await page.goto(`${base}/claim`);
  await page.fill("#f-password", password);
  await page.fill("#f-again", password);
  await page.click("main button.main");
  await page.waitForURL(/welcome/);
}

export async function login(page, name = "admin", secret = password) {
  await page.goto(`${base}/login`);
  await page.fill("#f-name", name);
  await page.fill("#f-password", secret);
  await page.click("main button.main");
  await page.waitForURL((url) => !url.pathname.startsWith("/login"));
}

export function answer(seen) {
  console.log(JSON.stringify(seen));
}
