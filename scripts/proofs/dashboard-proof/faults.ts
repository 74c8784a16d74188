// Breaks things while a page is open. The page must say so, show the age of its data, and recover by itself.
import type { Page } from "playwright-core";
import { podKind, serviceAccountKind } from "../../../src/api/kubernetes/index.ts";
import { limitedEnd } from "../limited-end.ts";
import { namespaces } from "../upgrade-proof/load-plans.ts";
import type { Proof } from "../upgrade-proof/proof.ts";
import { createToken } from "./access.ts";

/** The time limit for the page to show a fault. It is longer than any timeout of the page. */
const seenTimeoutMs = 90_000;
const tokenTimeoutMs = 180_000;
const awayMs = 6_000;
const deletedAccount = "leaver";
const garbageName = "garbage";

export interface FaultPages {
  /** The address of the page that `serin dashboard` serves for its user. */
  readonly own: string;
  /** The address of the cluster's own dashboard. */
  readonly inCluster: string;
  readonly page: () => Promise<Page>;
  /** Forgets console errors that a fault caused. */
  readonly forgive: () => void;
}

type Fault = (proof: Proof, pages: FaultPages, page: Page) => Promise<void>;

const faults: Readonly<Record<string, Fault>> = {
  "an API server that is away": apiServerAway,
  "a dashboard that is restarted": dashboardAnew,
  "a token that is no longer valid": tokenEnds,
  "a proxy that reports garbage": garbageMetrics,
};

/** Returns the problems that it found. */
export async function standFaults(proof: Proof, pages: FaultPages): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const [name, fault] of Object.entries(faults)) {
    const begun = performance.now();
    const page = await pages.page();
    try {
      await fault(proof, pages, page);
      proof.note(
        `${name}: the page reported it, and recovered by itself (${((performance.now() - begun) / 1000).toFixed(1)} s)`,
      );
    } catch (error) {
      const shown = await page
        .locator("body")
        .innerText()
        .catch(() => "");
      problems.push(
        `${name}: ${error instanceof Error ? error.message : String(error)}; the page shows: ${shown.slice(0, 600)}`,
      );
    } finally {
      await limitedEnd("the page of a fault", page.close());
      pages.forgive();
    }
  }
  return problems;
}

const aged = /is of \d\d:\d\d:\d\d|\d+ s ago|\d+ s old/;

/** Kills the API server, and pauses the supervisor, which would restart the API server at once. */
async function apiServerAway({ lab }: Proof, { own }: FaultPages, page: Page): Promise<void> {
  await page.goto(`${own}#/workloads`);
  const content = page.locator("#content");
  await content.filter({ hasText: "productpage" }).waitFor({ timeout: seenTimeoutMs });
  const [supervisor] = lab.cluster.ofRole("cluster-supervisor");
  const [server] = lab.cluster.ofRole("cluster-apiserver");
  if (supervisor === undefined || server === undefined) throw new Error("the lab's processes are not found");
  process.kill(supervisor.pid, "SIGSTOP");
  try {
    process.kill(server.pid, "SIGKILL");
    await content
      .filter({ hasText: /the API server does not answer/ })
      .filter({ hasText: aged })
      .waitFor({ timeout: seenTimeoutMs });
    await page
      .locator(".live")
      .filter({ hasText: /cluster unreachable since \d\d:\d\d:\d\d/ })
      .waitFor({ timeout: seenTimeoutMs });
    await page.waitForTimeout(awayMs);
    const text = await content.innerText();
    if (!text.includes("productpage")) throw new Error("the last known state is no longer shown");
  } finally {
    process.kill(supervisor.pid, "SIGCONT");
  }
  await gone(content, /the API server does not answer/);
  // Wait until the page shows request rates again.
  await content.filter({ hasText: /\d\/s/ }).waitFor({ timeout: seenTimeoutMs });
}

async function dashboardAnew({ lab }: Proof, { inCluster }: FaultPages, page: Page): Promise<void> {
  await page.goto(`${inCluster}#/ladder`);
  await live(page);
  const [server] = lab.cluster.ofRole("kiali");
  if (server === undefined) throw new Error("no process serves the page in the cluster");
  process.kill(server.pid, "SIGKILL");
  await page
    .locator(".live")
    .filter({ hasText: /reconnecting since \d\d:\d\d:\d\d/ })
    .waitFor({ timeout: seenTimeoutMs });
  await page.getByText(/what is shown is \d+ s old/).waitFor({ timeout: seenTimeoutMs });
  await live(page);
  await page.locator("#content").filter({ hasText: "ztunnel" }).waitFor({ timeout: seenTimeoutMs });
  await gone(page.locator("#content"), /what is shown is \d+ s old/);
}

/** Deletes the account, which makes its tokens invalid, as if they had expired. */
async function tokenEnds({ lab }: Proof, { inCluster }: FaultPages, page: Page): Promise<void> {
  await lab.api.apply([
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: deletedAccount, namespace: namespaces.shop } },
  ]);
  const token = await createToken(lab, deletedAccount);
  await page.goto(`${inCluster}#/login`);
  await page.getByLabel("Bearer token of a Kubernetes user or service account").fill(token);
  await page
    .getByRole("button", { name: /log in/i })
    .last()
    .click();
  await page.getByRole("banner").filter({ hasText: deletedAccount }).waitFor({ timeout: seenTimeoutMs });
  await page.goto(`${inCluster}#/workloads`);
  await live(page);
  await lab.api.client.delete(serviceAccountKind, deletedAccount, namespaces.shop);
  // A user who has not logged in may read, so the page goes on without the login and says so. The server reviews tokens
  // every minute.
  await page
    .getByText(new RegExp(`The session of \\S*${deletedAccount} has ended`))
    .waitFor({ timeout: tokenTimeoutMs });
  await page.getByRole("banner").filter({ hasText: "anonymous" }).waitFor({ timeout: seenTimeoutMs });
}

/** Creates a pod that claims to have a proxy, but serves HTML as its metrics. */
async function garbageMetrics({ lab }: Proof, { own }: FaultPages, page: Page): Promise<void> {
  const namespace = "default";
  await lab.api.apply([
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: garbageName,
        namespace,
        labels: { app: garbageName },
        annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/html" },
      },
      spec: {
        containers: [
          { name: "istio-proxy", image: "docker.io/mccutchen/go-httpbin:v2.15.0", ports: [{ containerPort: 8080 }] },
        ],
      },
    },
  ]);
  try {
    const content = page.locator("#content");
    await page.goto(`${own}#/workloads`);
    await content
      .filter({ hasText: /1 of \d+ proxies do(es)? not report (its|their) metrics: garbage/ })
      .waitFor({ timeout: seenTimeoutMs });
    await content.filter({ hasText: /\d\/s/ }).waitFor({ timeout: seenTimeoutMs });
  } finally {
    await lab.api.client.delete(podKind, garbageName, namespace);
  }
  await gone(page.locator("#content"), /report (its|their) metrics/);
}

async function live(page: Page): Promise<void> {
  await page
    .locator(".live")
    .filter({ hasText: /^live$/ })
    .waitFor({ timeout: seenTimeoutMs });
}

async function gone(content: ReturnType<Page["locator"]>, words: RegExp): Promise<void> {
  await content.filter({ hasText: words }).waitFor({ state: "detached", timeout: seenTimeoutMs });
}
