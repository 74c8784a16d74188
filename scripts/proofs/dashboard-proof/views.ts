// Opens every view of the page by its link, at every size and in both colour schemes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { limitedEnd } from "../limited-end.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import type { ProofBrowser, Sight } from "./browser.ts";

export interface ProofView {
  readonly name: string;
  /** The part of the address after `#/`. */
  readonly link: string;
  /** Texts that must appear somewhere in its content. */
  readonly shows: readonly RegExp[];
}

export const canaryName = "productpage";

export const views: readonly ProofView[] = [
  { name: "overview", link: "overview", shows: [/bookinfo/, /demo-b/, /\d\/s/, /p99\s*[\d.]+ m?s/] },
  { name: "graph", link: "graph?window=60", shows: [/\d/] },
  { name: "graph-table", link: `graph?window=60&ns=${namespaces.shop}&as=table`, shows: [/productpage/] },
  { name: "ladder", link: "ladder", shows: [/1-31-0/, /ztunnel/, /bookinfo/] },
  { name: "rollouts", link: "rollouts", shows: [new RegExp(canaryName)] },
  {
    name: "rollout",
    link: `rollouts/Canary/${namespaces.shop}/${canaryName}`,
    shows: [/HTTPRoute/, /request-success-rate/],
  },
  { name: "workloads", link: "workloads", shows: [/reviews-v2/, /app-b/] },
  {
    name: "workload",
    link: `workloads/${namespaces.sidecarServers}/app-b`,
    shows: [/app-b/, /Pods/i, /p99\s*[\d.]+ m?s/],
  },
  { name: "services", link: "services", shows: [/reviews/, /app-b/] },
  { name: "service", link: `services/${namespaces.shop}/reviews`, shows: [/reviews/] },
  { name: "config", link: "config", shows: [/VirtualService/, /HTTPRoute/] },
  {
    name: "config-object",
    link: `config/networking.istio.io%2Fv1/VirtualService/${namespaces.shop}/reviews`,
    shows: [/VirtualService/, /subset/],
  },
  { name: "config-new", link: "config/new", shows: [/./] },
  { name: "audit", link: "audit", shows: [/./] },
];

const viewTimeoutMs = 20_000;
const steadyMs = 300;

export interface OpenViewsOptions {
  readonly views: readonly ProofView[];
  /** Logs a new page in and returns the page's address. */
  readonly enter: (page: Page) => Promise<string>;
  readonly sights: readonly Sight[];
  /** The directory for screenshots. If undefined, no screenshots are taken. */
  readonly pictures: string | undefined;
  readonly note: (text: string) => void;
}

/**
 * Opens every view at every size and in both colour schemes. Returns the number of opened views, and the problems: a
 * view lacks a text, with the content that it has, or it is wider than the window.
 */
export async function openViews(
  browser: ProofBrowser,
  { views: wanted, enter, sights, pictures, note }: OpenViewsOptions,
): Promise<{ readonly opened: number; readonly failed: readonly string[] }> {
  const failed: string[] = [];
  let opened = 0;
  for (const sight of sights) {
    const context = await browser.window(sight);
    try {
      const page = await browser.page(context);
      const base = await enter(page);
      for (const view of wanted) {
        const problem = await openView(page, base, view);
        opened += 1;
        if (problem !== undefined) failed.push(`${view.name} at ${sight.width} px, ${sight.colorScheme}: ${problem}`);
        if (pictures !== undefined) await takePicture(page, pictures, view, sight);
      }
    } finally {
      await limitedEnd("the window of a view", context.close());
    }
    note(`every view at ${sight.width} px, ${sight.colorScheme}: ${failed.length} of ${opened} have problems`);
  }
  return { opened, failed };
}

async function openView(page: Page, base: string, { link, shows }: ProofView): Promise<string | undefined> {
  await page.goto(`${base}#/${link}`);
  const content = page.locator("#content");
  let text = "";
  let seenAtMs: number | undefined;
  const deadline = performance.now() + viewTimeoutMs;
  for (;;) {
    text = await content.innerText();
    // `innerText` does not contain an editor's content.
    for (const held of await content.locator(".cm-content").all()) text += (await held.textContent()) ?? "";
    const missing = /Arranging…/.test(text) ? "an arranged graph" : shows.find((wanted) => !wanted.test(text));
    // The text must stay for a moment, because the graph is laid out shortly after its figures change.
    seenAtMs = missing === undefined ? (seenAtMs ?? performance.now()) : undefined;
    if (seenAtMs !== undefined && performance.now() - seenAtMs > steadyMs) break;
    if (missing !== undefined && performance.now() > deadline)
      return `does not show ${String(missing)}: ${text.slice(0, 300)}`;
    await page.waitForTimeout(100);
  }
  const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  return typeof overflow === "number" && overflow > 1 ? `is ${overflow} px wider than the window` : undefined;
}

async function takePicture(
  page: Page,
  directory: string,
  { name }: ProofView,
  { width, colorScheme }: Sight,
): Promise<void> {
  mkdirSync(directory, { recursive: true });
  // Wait for the end of the animations.
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(directory, `${name}-${width}-${colorScheme}.png`) });
}
