// Drives the dashboard as a person does: with a real Chromium, in a live lab under load.
//   npm run e2e:dashboard [-- --json] [-- --only views,figures,freshness,orders,access,faults,upgrade]
//                         [-- --rate 0.3] [-- --sights 3] [-- --pictures DIR] [-- --keep]
import type { BrowserContext, Page } from "playwright-core";
import { describeError } from "../../src/base/index.ts";
import { tryAccess } from "./dashboard-proof/access.ts";
import { ProofBrowser, sights } from "./dashboard-proof/browser.ts";
import { standFaults } from "./dashboard-proof/faults.ts";
import { compareFigures, figureShares, type Deviation } from "./dashboard-proof/figures.ts";
import { requestDelay, uncalledApp, weightDelays } from "./dashboard-proof/freshness.ts";
import { giveOrders, giveUpgradeOrders, pausedCanary, upgradeName } from "./dashboard-proof/orders.ts";
import { ServedPage } from "./dashboard-proof/served-page.ts";
import { openViews, views, type ProofView } from "./dashboard-proof/views.ts";
import { isWithinLab, runThisScriptWithLab } from "../lab/run-with-lab.ts";
import { numberOption } from "../arguments/number-option.ts";
import { scriptArguments } from "../arguments/script-arguments.ts";
import { limitedEnd } from "./limited-end.ts";
import { LoadReports } from "./upgrade-proof/load-totals.ts";
import { ProofLab } from "./upgrade-proof/proof-lab.ts";
import { revisions, versions, type Proof } from "./upgrade-proof/proof.ts";
import { allAvailable, ConstantLoad, setStage } from "./upgrade-proof/stage.ts";

const parts = ["views", "figures", "freshness", "orders", "access", "faults", "upgrade"] as const;
const maxDeviation = 0.02;
const maxDelayMs = 2_000;

const help = `npm run e2e:dashboard [-- options]
  --only PARTS      the parts to run, separated by commas (default: all):
                    ${parts.join(", ")}
  --rate X          multiply the rates of all load generators by X (default: 0.3)
  --sights N        use only the first N of 1280 px light, 1280 px dark and 390 px light (default: ${sights.length})
  --first-wave      run only the first wave of the mesh upgrade, and undo it
  --pictures DIR    write a screenshot of every view into DIR
  --keep            keep the lab
  --json            print one JSON object as the last line
`;

const { values: flags } = scriptArguments(
  { command: "npm run e2e:dashboard --", help },
  {
    only: { type: "string", default: parts.join(",") },
    rate: { type: "string", default: "0.3" },
    sights: { type: "string", default: String(sights.length) },
    "first-wave": { type: "boolean", default: false },
    pictures: { type: "string" },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
);

const sightCount = numberOption("--sights", flags.sights, { isWhole: true });

interface Summary {
  readonly ok: boolean;
  /** The number of opened views. A view counts once for each combination of size and colour scheme. */
  readonly views: number;
  /** The number of problems. The earlier lines of the output describe each of them. */
  readonly failed: number;
  readonly consoleErrors: number;
  /** The largest deviation of a figure on the page from the load generators' own count, as a share. */
  readonly maxDeviation: number;
}

async function main(): Promise<number> {
  const wanted = new Set(flags.only.split(","));
  for (const part of wanted)
    if (!parts.some((known) => known === part)) throw new Error(`--only ${part}: expected ${parts.join(", ")}`);
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => interrupt.abort(new Error(`ended by ${signal}`)));
  const rate = numberOption("--rate", flags.rate);
  const lab = new ProofLab();
  const reports = new LoadReports(lab.reportDirectories());
  const proof: Proof = {
    lab,
    reports,
    scale: { rate, streamSeconds: 30, shares: figureShares },
    ambientOnly: false,
    requests: 0,
    signal: interrupt.signal,
    revision: revisions.old,
    note: (text) => void process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${text}\n`),
  };
  let browser: ProofBrowser | undefined;
  let load: ConstantLoad | undefined;
  const found: Found = { views: 0, problems: [], deviations: [] };
  try {
    await setStage(proof, wanted.has("upgrade") ? Object.values(versions) : [versions.old]);
    await lab.api.apply("samples/addons/kiali.yaml");
    await lab.api.apply(uncalledApp);
    await lab.api.apply([pausedCanary(proof)]);
    await allAvailable(proof);
    load = await ConstantLoad.begin(proof);
    browser = await ProofBrowser.launch();
    await play(proof, browser, wanted, found);
  } catch (error) {
    found.problems.push(describeError(error));
  }
  const complaints = browser?.complaints ?? [];
  for (const end of [async () => await browser?.close(), async () => await load?.stop()])
    await end().catch((error: unknown) => void found.problems.push(describeError(error)));
  proof.note("the browser, the dashboards and the load have ended");
  for (const text of [...found.problems, ...complaints.map((complaint) => `console: ${complaint}`)])
    proof.note(`FAILED ${text}`);
  if (flags.keep) proof.note(`the lab stays: ${lab.cluster.stateDirectory}`);
  else await lab.delete();
  const worst = Math.max(0, ...found.deviations);
  const summary: Summary = {
    ok: found.problems.length === 0 && complaints.length === 0,
    views: found.views,
    failed: found.problems.length,
    consoleErrors: complaints.length,
    maxDeviation: Math.round(worst * 10_000) / 10_000,
  };
  if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.ok ? 0 : 1;
}

interface Found {
  views: number;
  readonly problems: string[];
  readonly deviations: number[];
}

async function play(proof: Proof, browser: ProofBrowser, wanted: ReadonlySet<string>, found: Found): Promise<void> {
  const own = await ServedPage.start(proof.lab.cluster, ["--local"]);
  const context = await browser.window({ width: 1280, colorScheme: "light" });
  try {
    const page = await browser.page(context);
    await page.goto(own.url);
    // Only the first address contains the secret. Its cookie opens all others.
    const base = page.url().replace(/#.*$/, "");
    const state = await context.storageState();
    // The comparison waits for more than a minute on its own page, while the other parts run. The other parts change
    // where requests go, and not how many there are.
    const figures = wanted.has("figures") ? figuresOf(proof, await browser.page(context), base) : undefined;
    // If another part fails too, report its error first.
    figures?.catch(() => undefined);
    if (wanted.has("views")) {
      const { opened, failed } = await openViews(browser, {
        views,
        enter: entered(base, state.cookies),
        sights: sights.slice(0, sightCount),
        pictures: flags.pictures,
        note: proof.note,
      });
      found.views += opened;
      found.problems.push(...failed);
    }
    if (wanted.has("orders")) found.problems.push(...(await giveOrders(proof, page, base)));
    if (wanted.has("freshness")) found.problems.push(...(await tryFreshness(proof, page, base)));
    const served = await ServedPage.start(proof.lab.cluster, ["kiali"]);
    try {
      if (wanted.has("access")) found.problems.push(...(await tryAccess(proof, browser, served.url)));
      proof.note("the rights have been tried");
      for (const { service, share } of (await figures) ?? []) {
        found.deviations.push(Number.isNaN(share) ? 1 : share);
        if (!(share <= maxDeviation))
          found.problems.push(`the rate of ${service} is ${(share * 100).toFixed(1)} % off`);
      }
      if (wanted.has("faults")) {
        const faultPages = {
          own: base,
          inCluster: served.url,
          page: async () => await browser.page(context),
          forgive: () => browser.forgiveUnanswered(),
        };
        found.problems.push(...(await standFaults(proof, faultPages)));
      }
    } finally {
      await served.stop();
    }
    // The upgrade comes last, because it moves the workloads that the other parts show.
    if (wanted.has("upgrade"))
      found.problems.push(...(await orderUpgrade(proof, { browser, page, base, cookies: state.cookies }, found)));
  } finally {
    await limitedEnd("the page's window", context.close());
    await own.stop();
  }
}

/** Measures how soon the page shows a request and a weight. Returns the problems that it found. */
async function tryFreshness(proof: Proof, page: Page, base: string): Promise<readonly string[]> {
  const problems: string[] = [];
  const requestMs = await requestDelay(proof, page, base);
  proof.note(`a request is on the page at most ${Math.round(requestMs)} ms after it began`);
  if (requestMs > maxDelayMs) problems.push(`a request was on the page after ${Math.round(requestMs)} ms`);
  const delays = await weightDelays(proof, page, base);
  proof.note(
    `weights are on the page ${delays.map((ms) => `${Math.round(ms)} ms`).join(" and ")} after they were written`,
  );
  for (const ms of delays) if (ms > maxDelayMs) problems.push(`a weight was on the page after ${Math.round(ms)} ms`);
  return problems;
}

async function figuresOf(proof: Proof, page: Page, base: string): Promise<readonly Deviation[]> {
  const figures = await compareFigures(proof, page, base);
  for (const { service, pageRate, loadRate, share } of figures)
    proof.note(
      `${service}: ${pageRate} requests a second on the page, ${loadRate.toFixed(2)} by the generators: ${(share * 100).toFixed(2)} % apart`,
    );
  await limitedEnd("the page of the figures", page.close());
  return figures;
}

type Cookies = Parameters<BrowserContext["addCookies"]>[0];

interface OpenDashboard {
  readonly browser: ProofBrowser;
  readonly page: Page;
  readonly base: string;
  readonly cookies: Cookies;
}

/**
 * Gives the upgrade's orders. While the upgrade waits between two revisions, looks at the ladder and at the upgrade's
 * page.
 */
async function orderUpgrade(
  proof: Proof,
  { browser, page, base, cookies }: OpenDashboard,
  found: Found,
): Promise<readonly string[]> {
  const problems: string[] = [];
  const between: readonly ProofView[] = [
    {
      name: "upgrade",
      link: `rollouts/MeshUpgrade/${upgradeName}`,
      shows: [/waits for approval/, /mtls-probe-matrix/],
    },
    { name: "upgrade-ladder", link: "ladder", shows: [/1-31-0/, /1-31-1/] },
    { name: "upgrade-overview", link: "overview", shows: [new RegExp(`${upgradeName}.*waits for a person`)] },
  ];
  const look = async (): Promise<void> => {
    const { opened, failed } = await openViews(browser, {
      views: between,
      enter: entered(base, cookies),
      sights: sights.slice(0, sightCount),
      pictures: flags.pictures,
      note: proof.note,
    });
    found.views += opened;
    problems.push(...failed);
  };
  problems.push(...(await giveUpgradeOrders(proof, page, base, { whole: !flags["first-wave"], look })));
  return problems;
}

function entered(base: string, cookies: Cookies): (page: Page) => Promise<string> {
  return async (page) => {
    await page.context().addCookies(cookies);
    return base;
  };
}

// With --keep, the lab must outlive this process, so it does not run in namespaces that end with the process. Exit
// explicitly, because something that has not ended would keep this process alive.
process.exit(flags.keep || isWithinLab ? await main() : await runThisScriptWithLab());
