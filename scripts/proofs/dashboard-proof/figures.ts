// Compares the page's figures with the load generators' own counts.
import type { Page } from "playwright-core";
import type { Proof } from "../upgrade-proof/proof.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { difference } from "../upgrade-proof/load-totals.ts";

interface ComparedService {
  readonly namespace: string;
  readonly name: string;
  /** The load targets whose requests all reach this service through a proxy that counts them. */
  readonly targets: readonly string[];
}

/** Services whose requests all pass an L7 proxy. */
export const compared: readonly ComparedService[] = [
  {
    namespace: namespaces.sidecarServers,
    name: "app-b",
    targets: ["gateway: app-b", "ambient: app-b by sidecar", "sidecar: app-b"],
  },
  { namespace: namespaces.sidecarServers, name: "grpc-echo", targets: ["sidecar: gRPC"] },
  {
    namespace: namespaces.shop,
    name: "reviews",
    targets: ["ambient: reviews by waypoint", "sidecar: reviews by waypoint", "gateway: page", "gateway: traced page"],
  },
];

const comparedTargets: ReadonlySet<string> = new Set(compared.flatMap(({ targets }) => targets));

/**
 * The targets that keep their whole rate. They are the pages, because the Canary waits for their answers, and the
 * requests by gRPC, because the service grpc-echo gets no other requests.
 */
const wholeTargets: ReadonlySet<string> = new Set(["gateway: page", "gateway: traced page", "sidecar: gRPC"]);
const comparedShare = 0.5;
/** The share for targets whose figures are not compared. The views need only a few of these requests. */
const uncomparedShare = 0.25;

/**
 * The shares of the rate of the load. The service grpc-echo gets six requests a second, and no compared service gets
 * fewer. At this rate, the page's figure differs from the generators' by about 0.3 %, because their windows do not end
 * at the same moment.
 */
export const figureShares = {
  ofTarget: (target: string): number => {
    if (wholeTargets.has(target)) return 1;
    return comparedTargets.has(target) ? comparedShare : uncomparedShare;
  },
  ofMessages: uncomparedShare,
};

export interface Deviation {
  readonly service: string;
  readonly pageRate: number;
  readonly loadRate: number;
  /** The deviation as a share of the generators' rate. */
  readonly share: number;
}

const windowMs = 60_000;
/** The time within which every proxy has been scraped once. */
const warmUpMs = 10_000;

/**
 * Waits for one window of time under load, and compares the generators' rates in it with the page's list of services.
 */
export async function compareFigures(proof: Proof, page: Page, base: string): Promise<readonly Deviation[]> {
  await page.goto(`${base}#/services?window=60`);
  await page.waitForTimeout(warmUpMs);
  const begun = proof.reports.totals;
  const begunAtMs = performance.now();
  await page.waitForTimeout(windowMs);
  const rates = await Promise.all(compared.map(async ({ namespace, name }) => await shownRate(page, namespace, name)));
  const sent = difference(proof.reports.totals, begun);
  const seconds = (performance.now() - begunAtMs) / 1000;
  return compared.map(({ namespace, name, targets }, index) => {
    const loadRate = targets.reduce((sum, target) => sum + (sent.targets[target]?.requests ?? 0), 0) / seconds;
    const pageRate = rates[index] ?? Number.NaN;
    return { service: `${namespace}/${name}`, pageRate, loadRate, share: Math.abs(pageRate - loadRate) / loadRate };
  });
}

/** Reads the rate in the service's row: `130/s`. */
async function shownRate(page: Page, namespace: string, name: string): Promise<number> {
  const row = page
    .getByRole("row")
    .filter({ has: page.getByRole("link", { name, exact: true }) })
    .filter({ hasText: namespace });
  const text = await row.first().innerText();
  const [, figure = "", thousand] = /([\d.,]+)(k?)\/s/.exec(text) ?? [];
  return figure === "" ? Number.NaN : Number(figure.replaceAll(",", "")) * (thousand === "k" ? 1000 : 1);
}
