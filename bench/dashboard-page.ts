// What the dashboard's page costs a browser: first view, bytes of scripts, and the graph of 500 workloads. Prints figures; with --json the last line is they alone.
//   node bench/dashboard-page.ts [--workloads 500] [--seconds 15] [--json]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { benchOptions } from "../scripts/bench-options.ts";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { bundlePage } from "../src/dashboard/bundle/index.ts";
import { launchChromium } from "../test/support/chromium.ts";
import { quantile } from "./median-interval.ts";

const values = benchOptions("npm run bench:dashboard-page --", { workloads: 500, seconds: 15, json: false });
const root = join(import.meta.dirname, "..");

const server = spawn(
  process.execPath,
  [join(root, "scripts/dashboard-dev.ts"), "--built", "--workloads", String(values.workloads), "--port", "0"],
  { stdio: ["ignore", "pipe", "inherit"] },
);
try {
  const [address] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
  const files = await bundlePage(join(root, "src/dashboard/web"));
  const scriptBytes = [...files]
    .filter(([name]) => name.endsWith(".js"))
    .reduce((sum, [, contents]) => sum + gzipSync(contents).length, 0);
  const browser = await launchChromium();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const firstViewMs = await firstView(page, address);
    const cpu = await mainThreadClock(page);
    await page.emulateMedia({ reducedMotion: "reduce" });
    const updates = await graphUpdates(page, address, values.seconds * 1000, cpu);
    await page.emulateMedia({ reducedMotion: "no-preference" });
    const panBeganMs = await cpu();
    const panned = await pan(page, 4000);
    const panCpuMs = (await cpu()) - panBeganMs;
    const figures = {
      workloads: values.workloads,
      scriptBytesCompressed: scriptBytes,
      firstViewMs: Math.round(firstViewMs),
      updates: updates.durations.length,
      updateMsMedian: round(quantile(updates.durations, 0.5)),
      updateMsP95: round(quantile(updates.durations, 0.95)),
      updateMsMost: round(Math.max(...updates.durations)),
      updateCpuMs: round(updates.cpuMs / updates.durations.length),
      panFramesPerSecond: round(1000 / (panned.reduce((sum, ms) => sum + ms, 0) / panned.length)),
      panFrameMsP95: round(quantile(panned, 0.95)),
      panFrameCpuMs: round(panCpuMs / panned.length),
    };
    if (!values.json) for (const [name, figure] of Object.entries(figures)) console.log(`${name.padEnd(24)} ${figure}`);
    console.log(JSON.stringify(figures));
  } finally {
    await browser.close();
  }
} finally {
  server.kill();
}

/** Largest contentful paint of the overview, in ms from the start of navigation. */
async function firstView(page: Page, address: string): Promise<number> {
  await page.goto(address);
  await page.waitForTimeout(3000);
  return await page.evaluate<number>(`new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries().at(-1)?.startTime ?? NaN)).observe({ type: "largest-contentful-paint", buffered: true });
  })`);
}

/** CPU time that the page's main thread has taken so far, in ms: what is else done on the machine does not count. */
async function mainThreadClock(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? NaN) * 1000;
  };
}

/** How long each update of the graph took, from the view's change to the drawing being done; and the CPU time of all that the page did meanwhile, with nothing moving. */
async function graphUpdates(
  page: Page,
  address: string,
  forMs: number,
  cpu: () => Promise<number>,
): Promise<{ readonly durations: readonly number[]; readonly cpuMs: number }> {
  await page.goto(`${address}#/graph`);
  await page.waitForSelector(".graph-canvas");
  // The first ones include the arranging, and code that is not compiled yet.
  await page.waitForTimeout(5000);
  const beganMs = await cpu();
  const durations = await page.evaluate<number[]>(`new Promise((resolve) => {
    const durations = [];
    const observer = new PerformanceObserver((list) => durations.push(...list.getEntriesByName("graph-update").map(({ duration }) => duration)));
    observer.observe({ type: "measure" });
    setTimeout(() => {
      observer.disconnect();
      resolve(durations);
    }, ${forMs});
  })`);
  return { durations, cpuMs: (await cpu()) - beganMs };
}

/** Times between frames while the mouse drags the whole graph to and fro. */
async function pan(page: Page, forMs: number): Promise<readonly number[]> {
  await page.evaluate(`{
    const frames = [];
    let last = 0;
    const frame = (atMs) => {
      if (last > 0) frames.push(atMs - last);
      last = atMs;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    globalThis.panFrames = frames;
  }`);
  await page.mouse.move(640, 400);
  await page.mouse.down();
  await page.evaluate("void panFrames.splice(0)");
  const untilMs = performance.now() + forMs;
  for (let step = 0; performance.now() < untilMs; step += 1) {
    await page.mouse.move(640 + 240 * Math.sin(step / 20), 400 + 120 * Math.sin(step / 33));
    await new Promise((resolve) => void setTimeout(resolve, 8));
  }
  const frames = await page.evaluate<number[]>("panFrames.slice()");
  await page.mouse.up();
  return frames;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
