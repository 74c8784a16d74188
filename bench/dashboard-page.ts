// Measures the cost of the dashboard's page in a browser. This includes the first view, the bytes of scripts, and the
// graph of 500 workloads. With --json the last line is one JSON object.
//   node bench/dashboard-page.ts [--workloads 500] [--seconds 15] [--json]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { bundlePage } from "../src/dashboard/bundle/index.ts";
import { launchChromium } from "../test/support/chromium.ts";
import { quantile } from "./median-interval.ts";
import { endsWithThis } from "../scripts/lab/ends-with-this.ts";

const values = benchOptions("npm run bench:dashboard-page --", { workloads: 500, seconds: 15, json: false });
const root = join(import.meta.dirname, "..");

const server = spawn(
  ...endsWithThis(
    process.execPath,
    join(root, "scripts/dashboard-dev.ts"),
    "--built",
    "--workloads",
    String(values.workloads),
    "--port",
    "0",
  ),
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

/** Returns the time of the overview's largest contentful paint, in ms from the start of navigation. */
async function firstView(page: Page, address: string): Promise<number> {
  await page.goto(address);
  await page.waitForTimeout(3000);
  return await page.evaluate<number>(`new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries().at(-1)?.startTime ?? NaN)).observe({ type: "largest-contentful-paint", buffered: true });
  })`);
}

/**
 * Returns a function that returns the CPU time of the page's main thread so far, in ms. It does not include other load
 * on the machine.
 */
async function mainThreadClock(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? NaN) * 1000;
  };
}

/**
 * Returns the time of each update of the graph in ms, from the view's change to the end of drawing, and the CPU time in
 * ms of everything that the page did meanwhile. The graph is not animated.
 */
async function graphUpdates(
  page: Page,
  address: string,
  forMs: number,
  cpu: () => Promise<number>,
): Promise<{ readonly durations: readonly number[]; readonly cpuMs: number }> {
  await page.goto(`${address}#/graph`);
  await page.waitForSelector(".graph-canvas");
  // The first updates include the layout, and code that is not compiled yet.
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

/** Returns the times between frames in ms, while the mouse drags the whole graph back and forth. */
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
