// Constant load from the client's place through a gateway, and from a pod in the cluster. Nothing is ever tried again.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { LoadPlan, RequestTarget } from "../../samples/load-generator/load-plan.ts";
import { difference, type LoadReports, type LoadTotals } from "../../scripts/upgrade-proof/load-totals.ts";
import { systemClock } from "../../src/base/index.ts";
import { eventually } from "../support/eventually.ts";
import { root, type RealCluster } from "./real-cluster.ts";

const generator = join(root, "samples/load-generator/load-generator.ts");
const limitMs = 4_000;
const keptSeconds = 20;

export type AskedTarget = Pick<RequestTarget, "name" | "url" | "expected"> &
  Partial<Pick<RequestTarget, "headers" | "answerPattern" | "perSecond">>;

/** A plan of short requests by two clients with kept-alive connections and two that make a connection each time. */
export function loadPlan(reportDirectory: string, targets: readonly AskedTarget[]): LoadPlan {
  const requests = targets.map((target) => ({
    protocol: "http" as const,
    perSecond: 10,
    ...target,
    keptAlive: 2,
    newConnections: 2,
    keptSeconds,
  }));
  return { reportDirectory, limitMs, requests, connections: [] };
}

export class ConstantLoad {
  readonly #cluster: RealCluster;
  readonly #reports: LoadReports;
  readonly #children = new Set<ChildProcess>();

  constructor(cluster: RealCluster, reports: LoadReports) {
    this.#cluster = cluster;
    this.#reports = reports;
  }

  get totals(): LoadTotals {
    return this.#reports.totals;
  }

  /** From the client's place. */
  begin(name: string, targets: readonly AskedTarget[]): void {
    mkdirSync(this.#cluster.files.reports, { recursive: true });
    const log = openSync(join(this.#cluster.files.logs, `load-${name}.log`), "a");
    const plan: LoadPlan = {
      ...loadPlan(this.#cluster.files.reports, targets),
      name: `${name}-${Date.now()}`,
      untilInputEnds: true,
    };
    const child = spawn(process.execPath, [generator, JSON.stringify(plan)], { stdio: ["pipe", log, log] });
    closeSync(log);
    this.#children.add(child);
    child.on("close", () => this.#children.delete(child));
  }

  /** Lets the requests under way end. */
  async stop(): Promise<void> {
    const ended = [...this.#children].map(
      (child) => new Promise((resolve) => void child.on("close", resolve).stdin?.end()),
    );
    await Promise.all(ended);
  }

  /** Resolves when so many more requests have been counted. */
  async more(count: number, timeoutMs = 60_000): Promise<void> {
    const wanted = this.totals.requests + count;
    await eventually(`${count} more requests`, () => this.totals.requests >= wanted, timeoutMs);
  }

  /** What was counted while the work was done, and for a moment after. */
  async during(work: () => Promise<void>, restMs = 1_000): Promise<LoadTotals> {
    const before = this.totals;
    await work();
    await systemClock.sleep(restMs);
    return difference(this.totals, before);
  }
}

/** Says how many requests there were; throws when one has failed, with the first reasons. */
export function expectNoneFailed(reports: LoadReports, { requests, failed, targets }: LoadTotals): string {
  if (requests === 0) throw new Error("no request was counted");
  if (failed > 0) {
    const where = Object.entries(targets)
      .filter(([, counted]) => counted.failed > 0)
      .map(([name, counted]) => `${name}: ${counted.failed} of ${counted.requests}`);
    const why = reports.failures.slice(-5).map(({ at, target, cause }) => `${at} ${target}: ${cause}`);
    throw new Error(`${failed} of ${requests} requests failed (${where.join(", ")}):\n${why.join("\n")}`);
  }
  return `${requests} requests, 0 failed`;
}
