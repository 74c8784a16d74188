// What the page says beside what the load generators themselves have counted.
import type { Page } from "playwright-core";
import type { Proof } from "../upgrade-proof/proof.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import { difference } from "../upgrade-proof/load-totals.ts";

interface ComparedService {
  readonly namespace: string;
  readonly name: string;
  /** Whose requests, all of them, go to it, through a proxy that counts requests. */
  readonly targets: readonly string[];
}

/** Services all of whose requests pass a proxy of the seventh layer. */
const compared: readonly ComparedService[] = [
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

export interface Deviation {
  readonly service: string;
  readonly pageRate: number;
  readonly loadRate: number;
  /** Of the generators' rate. */
  readonly share: number;
}

const windowMs = 60_000;
/** Until every proxy has been asked for the first time. */
const warmUpMs = 10_000;

/** Lets a window pass under load, and compares its rates as the list of services shows them. */
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

/** The rate in the row of the service: `130/s`. */
async function shownRate(page: Page, namespace: string, name: string): Promise<number> {
  const row = page
    .getByRole("row")
    .filter({ has: page.getByRole("link", { name, exact: true }) })
    .filter({ hasText: namespace });
  const text = await row.first().innerText();
  const [, figure = "", thousand] = /([\d.,]+)(k?)\/s/.exec(text) ?? [];
  return figure === "" ? Number.NaN : Number(figure.replaceAll(",", "")) * (thousand === "k" ? 1000 : 1);
}
