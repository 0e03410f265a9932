// Claims the gateway, so that other walks can log in.
import { answer, claim, start, visit } from "./browser.mjs";

const browser = await start();
const context = await visit(browser);
await claim(await context.newPage());
await browser.close();
answer({ claimed: true });
