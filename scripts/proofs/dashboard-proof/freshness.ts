// Measures how soon the page shows a change.
import type { Page } from "playwright-core";
import { httpRouteKind } from "../../../src/api/gateway/index.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { canaryBackend } from "../upgrade-proof/objects.ts";
import type { Proof } from "../upgrade-proof/proof.ts";

// Neither weight is 100 minus the other, so that a stale figure cannot pass for the new one.
const weights = [35, 83] as const;
/**
 * An application that sends its first request when {@link requestDelay} asks it to. The load sends no request to it.
 */
export const uncalledApp = "samples/canary/app-a.yaml";
const lookEveryMs = 20;
const giveUpMs = 15_000;

/**
 * Writes weights into the route of app-b's page. Returns the milliseconds until the graph's table showed each weight.
 * Infinity means that the table did not show it in time.
 */
export async function weightDelays({ lab }: Proof, page: Page, base: string): Promise<readonly number[]> {
  await page.goto(`${base}#/graph?window=60&ns=${namespaces.shop}&as=table&label=weight`);
  const content = page.locator("#content");
  await content.filter({ hasText: "productpage" }).waitFor({ timeout: giveUpMs });
  const delays: number[] = [];
  for (const weight of weights) {
    const rules = [
      {
        matches: [{ path: { type: "PathPrefix", value: "/productpage" } }],
        backendRefs: [
          { name: "productpage", port: 9080, weight: 100 - weight },
          { name: canaryBackend, port: 9080, weight },
        ],
      },
    ];
    const begun = performance.now();
    await lab.api.client.patchMerge(
      httpRouteKind,
      "bookinfo",
      namespaces.shop,
      { spec: { rules } },
      { fieldManager: "dashboard-proof" },
    );
    delays.push(await untilShown(content, new RegExp(`\\b${weight}(\\.0)? ?%`), begun));
  }
  return delays;
}

/**
 * Sends one request from a workload that never sent one before. Returns the milliseconds until the graph's table shows
 * both workloads, or Infinity if it does not show them in time.
 */
export async function requestDelay({ lab }: Proof, page: Page, base: string): Promise<number> {
  await page.goto(
    `${base}#/graph?window=60&ns=${namespaces.sidecarClients},${namespaces.sidecarServers}&as=table&by=workload`,
  );
  const content = page.locator("#content");
  await content.filter({ hasText: "app-b" }).waitFor({ timeout: giveUpMs });
  const edge = /app-a → app-b/;
  if (edge.test(await content.innerText())) throw new Error("app-a has asked app-b before");
  const shown = untilShown(content, edge, performance.now()).then(() => Date.now());
  const { code, output } = await lab.cluster.shell(
    `kubectl -n ${namespaces.sidecarClients} exec deploy/app-a -c echo-service -- sh -c 'date +%s%3N; curl -s -m 5 -o /dev/null http://app-b.${namespaces.sidecarServers}/'`,
  );
  const [beganAtMs] = /\d{13}/.exec(output) ?? [];
  if (code !== 0 || beganAtMs === undefined) throw new Error(`the request of app-a failed: ${output}`);
  const afterMs = (await shown) - Number(beganAtMs);
  return afterMs < giveUpMs ? afterMs : Number.POSITIVE_INFINITY;
}

async function untilShown(content: ReturnType<Page["locator"]>, wanted: RegExp, begun: number): Promise<number> {
  for (;;) {
    if (wanted.test(await content.innerText())) return performance.now() - begun;
    if (performance.now() - begun > giveUpMs) return Number.POSITIVE_INFINITY;
    await new Promise((resolve) => void setTimeout(resolve, lookEveryMs));
  }
}
