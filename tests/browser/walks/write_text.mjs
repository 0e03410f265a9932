// Writes markup into a register, as an installer may: it is read back, and stands in the trail of changes.
import { answer, base, login, start, visit } from "./browser.mjs";

const browser = await start();
const page = await (await visit(browser)).newPage();
await login(page);
await page.goto(`${base}/points`);
await page.waitForFunction(() => Number(document.getElementById("table").getAttribute("aria-rowcount")) > 1);
await page.fill("#words", "start_id_tag cp01 connector 1");
const row = page.locator("#table .window [role=row]").filter({ has: page.getByText("start_id_tag", { exact: true }) });
await row.first().locator("button").click();
await page.fill("#write-value", "<x-c>START");
await page.click("#write-go");
await page.waitForFunction(() => !document.getElementById("write").open);
await browser.close();
answer({ written: true });
