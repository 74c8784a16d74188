// Constant load from the client's network through a gateway, and from a pod in the cluster. A failed request is never
// repeated.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { ConnectionTarget, LoadPlan, RequestTarget } from "../../samples/load-generator/load-plan.ts";
import type { LoadReports, LoadTotals } from "../../scripts/proofs/upgrade-proof/load-totals.ts";
import { eventually } from "../support/eventually.ts";
import { root, type RealCluster } from "./real-cluster.ts";

const generator = join(root, "samples/load-generator/load-generator.ts");
/**
 * The time limit of a request. On two busy cores, answers take seconds while all pods of a drained node start, but a
 * lost request never gets one. Cases report answers that took more than 4 s.
 */
const limitMs = 10_000;
const keptSeconds = 20;
const podNamespace = "bookinfo";

export type LoadTarget = Pick<RequestTarget, "name" | "url" | "expected"> &
  Partial<Pick<RequestTarget, "headers" | "answerPattern" | "perSecond">>;

/** A plan of short requests: two clients keep their connections, and two open one for each request. */
export function loadPlan(
  reportDirectory: string,
  targets: readonly LoadTarget[],
  connections: readonly ConnectionTarget[] = [],
): LoadPlan {
  const requests = targets.map((target) => ({
    protocol: "http" as const,
    perSecond: 10,
    ...target,
    keptAlive: 2,
    newConnections: 2,
    keptSeconds,
  }));
  return { reportDirectory, limitMs, requests, connections };
}

export class ConstantLoad {
  readonly #cluster: RealCluster;
  readonly #reports: LoadReports;
  readonly #children = new Set<ChildProcess>();
  #begun: (() => ChildProcess)[] = [];

  constructor(cluster: RealCluster, reports: LoadReports) {
    this.#cluster = cluster;
    this.#reports = reports;
  }

  get totals(): LoadTotals {
    return this.#reports.totals;
  }

  /** Begins another load from the client's network. The result ends this load only. */
  begin(
    name: string,
    targets: readonly LoadTarget[],
    connections: readonly ConnectionTarget[] = [],
  ): () => Promise<void> {
    let child: ChildProcess;
    const start = (): ChildProcess => (child = this.#start(name, targets, connections));
    this.#begun.push(start);
    start();
    return async () => {
      this.#begun = this.#begun.filter((other) => other !== start);
      await endInput(child);
    };
  }

  #start(name: string, targets: readonly LoadTarget[], connections: readonly ConnectionTarget[]): ChildProcess {
    mkdirSync(this.#cluster.files.reports, { recursive: true });
    const log = openSync(join(this.#cluster.files.logs, `load-${name}.log`), "a");
    const plan: LoadPlan = {
      ...loadPlan(this.#cluster.files.reports, targets, connections),
      name: `${name}-${Date.now()}`,
      untilInputEnds: true,
    };
    const child = spawn(process.execPath, [generator, JSON.stringify(plan)], { stdio: ["pipe", log, log] });
    closeSync(log);
    this.#children.add(child);
    child.on("close", () => this.#children.delete(child));
    return child;
  }

  /** Pauses all generators, also those in pods, until {@link resume}. */
  async pause(): Promise<void> {
    await this.#stopChildren();
    await this.#scalePods(0);
    await this.#cluster.kubectl("wait", "-n", podNamespace, "--for=delete", "pod", "-l", "app=load", "--timeout=180s");
  }

  async resume(): Promise<void> {
    await this.#scalePods(1);
    await this.#cluster.kubectl("rollout", "status", "-n", podNamespace, "deployment/load", "--timeout=120s");
    for (const start of this.#begun) start();
  }

  async #scalePods(replicas: number): Promise<void> {
    await this.#cluster.kubectl("scale", "-n", podNamespace, "deployment/load", `--replicas=${replicas}`);
  }

  /** Ends the load from the client's network for good, when its open requests have been answered. */
  async stop(): Promise<void> {
    this.#begun = [];
    await this.#stopChildren();
  }

  async #stopChildren(): Promise<void> {
    await Promise.all([...this.#children].map(endInput));
  }

  async more(count: number, timeoutMs = 60_000): Promise<void> {
    const wanted = this.totals.requests + count;
    await eventually(`${count} more requests`, () => this.totals.requests >= wanted, timeoutMs);
  }
}

/** Ends the generator's input. It then finishes its requests and exits. */
async function endInput(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => void child.on("close", resolve).stdin?.end());
}
