// What a browser that was never here fetches for the login and for the first page, in bytes on the wire.
import { answer, base, login, start, visit } from "./browser.mjs";

const browser = await start();
const context = await visit(browser);
const page = await context.newPage();
const wire = await context.newCDPSession(page);
await wire.send("Network.enable");
const urls = new Map(), sizes = [];
wire.on("Network.responseReceived", (event) => urls.set(event.requestId, event.response.url));
wire.on("Network.loadingFinished", (event) => sizes.push([urls.get(event.requestId), event.encodedDataLength]));
await login(page);
await page.waitForSelector("#live .figures");
await page.waitForTimeout(500);
await browser.close();
const foreign = [...urls.values()].filter((url) => !url.startsWith(base) && !url.startsWith("data:"));
answer({ sizes, foreign });
