// Uses the page of `serve` in a real browser as a person does:
//
//     node serve.mjs ADDRESS PICTURE [FOLDER FOR SCREENSHOTS]
//
// The network should be that of a run of a zoo, so that there are gates and neighbours. The browser is
// $CHROMIUM, or Debian's.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [address, picture, shots] = process.argv.slice(2);
if (!picture) {
  console.error("usage: node serve.mjs ADDRESS PICTURE [FOLDER FOR SCREENSHOTS]");
  process.exit(2);
}
const problems = [];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  chromiumSandbox: process.getuid?.() !== 0,
  args: ["--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) await visit(colorScheme, width);
  }
} finally {
  await browser.close();
}
for (const problem of problems) console.error(problem);
console.log(problems.length ? `${problems.length} problems` : `${address}: fine in light and dark, 1280 and 390 px`);
process.exit(problems.length ? 1 : 0);

async function visit(colorScheme, width) {
  const where = `${colorScheme}, ${width} px`;
  const check = (right, what) => right || problems.push(`${where}: ${what}`);
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
  page.on("pageerror", (error) => problems.push(`${where}: script: ${error}`));
  page.on("console", (message) => {
    // A browser says of every answer that is a refusal that it is one.
    const isRefusal = message.text().includes("status of 422");
    check(message.type() !== "error" || isRefusal, `console: ${message.text()}`);
  });
  page.on("request", (request) => {
    check(/^(data:|blob:)/.test(request.url()) || request.url().startsWith(address), `request: ${request.url()}`);
  });
  await page.goto(address);
  await page.waitForFunction(() => document.getElementById("about").textContent.includes("classes"));
  await page.setInputFiles("#file", picture);
  await page.locator("#found").waitFor({ state: "visible" });
  const found = await page.evaluate(() => {
    const rows = (list) => document.querySelectorAll(list).length;
    const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    const seen = document.getElementById("seen");
    return {
      classes: rows("#classes li"), sources: rows("#sources li"), layers: rows("#gates tbody tr"),
      near: rows("#near li"), pictures: [...document.images].every((image) => image.naturalWidth > 0),
      shown: seen.naturalWidth, wide,
    };
  });
  check(found.classes > 1 && found.sources > 1 && found.layers > 1 && found.near > 1, JSON.stringify(found));
  check(found.pictures && found.shown, "a picture is not shown");
  check(!found.wide, "the page is wider than the window");
  if (shots) {
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `serve-${colorScheme}-${width}.png`), fullPage: true });
  }
  // Dropped, what is no picture, under a name that is no HTML.
  const drop = (name, bytes) => page.evaluate(([name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], name));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
  }, [name, bytes]);
  await drop("<img src=x onerror=alert(1)>.png", [1, 2, 3]);
  await page.waitForFunction(() => document.getElementById("problem").textContent.includes("expected a picture"));
  check(await page.locator("#found").isHidden(), "what was seen before stays beside the error");
  await drop("<b>again</b>.png", [...readFileSync(picture)]);
  await page.locator("#found").waitFor({ state: "visible" });
  check((await page.locator("#time").textContent()).startsWith("<b>again</b>.png, "), "a name is taken for HTML");
  check(await page.locator("#problem").textContent() === "", "an error stays");
  await page.close();
}
