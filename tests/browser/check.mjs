// Opens a report in a real browser and fails on anything that a reader would trip over:
//
//     npm ci --ignore-scripts --no-audit --no-fund
//     node check.mjs REPORT.html [FOLDER FOR SCREENSHOTS] [SECTION,...]
//
// The sections that have to be there are those of the demo, if not given. The browser is $CHROMIUM,
// or Debian's. Every check runs in light and dark, wide and narrow.

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file, shots, expected] = process.argv.slice(2);
if (!file) {
  console.error("usage: node check.mjs REPORT.html [FOLDER FOR SCREENSHOTS] [SECTION,...]");
  process.exit(2);
}
const address = pathToFileURL(resolve(file)).href;
const sections = expected?.split(",") ?? [
  "result", "methods", "sources", "training", "gates", "images", "alignment", "averages", "settings",
];
const problems = new Set();

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  chromiumSandbox: process.getuid?.() !== 0,
  args: [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      await visit(scheme, width);
    }
  }
  await printed();
} finally {
  await browser.close();
}
for (const problem of problems) console.error(problem);
console.log(problems.size ? `${problems.size} problems` : `${file}: fine in light and dark, 1280 and 390 px`);
process.exit(problems.size ? 1 : 0);

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning", "assert"].includes(message.type())) {
      problems.add(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => problems.add(`script: ${error}`));
  page.on("request", (request) => {
    const url = request.url().split("#")[0];
    if (url !== address && !url.startsWith("data:")) problems.add(`request: ${url}`);
  });
  page.on("requestfailed", (request) => {
    problems.add(`failed: ${request.url().slice(0, 80)}: ${request.failure()?.errorText}`);
  });
  await page.goto(address, { waitUntil: "load" });
  return { context, page };
}

async function visit(colorScheme, width) {
  const { context, page } = await open({
    colorScheme, viewport: { width, height: 900 }, deviceScaleFactor: width < 500 ? 2 : 1,
  });
  const where = `${colorScheme}, ${width} px`;
  const found = await page.evaluate(inspect, { sections, width });
  for (const problem of found) problems.add(`${where}: ${problem}`);

  // The switch turns the scheme around, and back.
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const before = await ground();
  await page.locator("#theme").check();
  if (await ground() === before) problems.add(`${where}: the switch of light and dark does nothing`);
  await page.locator("#theme").uncheck();
  if (await ground() !== before) problems.add(`${where}: the switch of light and dark sticks`);

  if (shots) {
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${colorScheme}-${width}.png`), fullPage: true });
  }
  await context.close();
}

// On paper the page is light, whatever the screen is.
async function printed() {
  const { context, page } = await open({ colorScheme: "dark", viewport: { width: 794, height: 1123 } });
  await page.emulateMedia({ media: "print" });
  const ink = await page.evaluate(() => getComputedStyle(document.body).color);
  if (ink !== "rgb(27, 29, 32)") problems.add(`print: text is ${ink}`);
  const paper = await page.pdf({ format: "A4", printBackground: true });
  if (paper.length < 10_000) problems.add("print: the pages are empty");
  await context.close();
}

// Runs inside of the page.
function inspect({ sections, width }) {
  const problems = [];
  const name = (element) => {
    const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.localName} class="${element.getAttribute("class") ?? ""}"> "${text}"`;
  };

  for (const id of sections) {
    const box = document.getElementById(id)?.getBoundingClientRect();
    if (!box) problems.push(`section ${id} is missing`);
    else if (box.width < 1 || box.height < 1) problems.push(`section ${id} has no size`);
  }
  if (document.querySelectorAll("h1").length !== 1) problems.push("not exactly one h1");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) {
    if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push(`id ${id} is there twice`);
  }
  for (const link of document.querySelectorAll("a[href^='#']")) {
    if (!ids.includes(link.hash.slice(1))) problems.push(`a link leads to ${link.hash}, which is nowhere`);
  }

  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) problems.push(`an image did not decode: ${image.alt}`);
    if (!image.alt) problems.push("an image has no alternative text");
  }
  for (const picture of document.querySelectorAll("svg, [role=img]")) {
    if (!picture.getAttribute("aria-label")) problems.push(`${name(picture)} has no label`);
    const text = new XMLSerializer().serializeToString(picture);
    if (/NaN|Infinity/.test(text)) problems.push(`${name(picture)} holds what is no number`);
  }

  // Nothing sticks out sideways, but for what scrolls in a box of its own.
  if (document.documentElement.scrollWidth > width) {
    problems.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  }
  const shown = (element) => element.checkVisibility() && !element.closest(".unseen, thead[role]");
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (!box.width || !shown(element)) continue;
    const scroll = element.closest(".scroll");
    if (scroll && scroll !== element) continue;
    if (box.left < -0.5 || box.right > width + 0.5) problems.push(`${name(element)} sticks out`);
    if (element.matches("svg text")) {
      const frame = element.closest("figure").getBoundingClientRect();
      if (box.left < frame.left || box.right > frame.right) problems.push(`${name(element)} leaves its figure`);
    }
  }

  // Text can be read: WCAG AA, 4.5 to 1, and 3 to 1 where it is large.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgb = (colors) => {
    pen.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    return layers;
  };
  const seen = new Map();
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !shown(element)) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    if (size === 0) continue;
    const color = element.closest("svg") ? style.fill : style.color;
    const layers = ground(element);
    const key = [...layers, color].join();
    if (!seen.has(key)) {
      const [a, b] = [luminance(rgb(layers)), luminance(rgb([...layers, color]))].sort((x, y) => y - x);
      seen.set(key, (a + 0.05) / (b + 0.05));
    }
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    if (seen.get(key) < (large ? 3 : 4.5)) {
      problems.push(`contrast of ${seen.get(key).toFixed(2)}: ${name(element)}`);
    }
  }

  // Text can be read: nothing is smaller than 9 px on the screen.
  for (const text of document.querySelectorAll("svg text")) {
    if (!shown(text)) continue;
    const svg = text.closest("svg");
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const size = parseFloat(text.getAttribute("font-size")) * scale;
    if (size < 9) problems.push(`text of ${size.toFixed(1)} px: ${name(text)}`);
  }
  return problems;
}
