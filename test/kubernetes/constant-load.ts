// Constant load from the client's place through a gateway, and from a pod in the cluster. Nothing is ever tried again.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { ConnectionTarget, LoadPlan, RequestTarget } from "../../samples/load-generator/load-plan.ts";
import type { LoadReports, LoadTotals } from "../../scripts/upgrade-proof/load-totals.ts";
import { eventually } from "../support/eventually.ts";
import { root, type RealCluster } from "./real-cluster.ts";

const generator = join(root, "samples/load-generator/load-generator.ts");
/**
 * The patience of a client. On two busy cores, nobody gets an answer for seconds while the pods of a drained node start
 * at once. A request that is lost never gets one. Cases report answers after more than 4 s.
 */
const limitMs = 10_000;
const keptSeconds = 20;
/** Of the Deployment `load`. */
const podNamespace = "bookinfo";

export type AskedTarget = Pick<RequestTarget, "name" | "url" | "expected"> &
  Partial<Pick<RequestTarget, "headers" | "answerPattern" | "perSecond">>;

/** A plan of short requests by two clients with kept-alive connections and two that make a connection each time. */
export function loadPlan(
  reportDirectory: string,
  targets: readonly AskedTarget[],
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

  /** From the client's place. Answers what ends this load alone. */
  begin(
    name: string,
    targets: readonly AskedTarget[],
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

  #start(name: string, targets: readonly AskedTarget[], connections: readonly ConnectionTarget[]): ChildProcess {
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

  /** No generator asks until {@link resume}, those in pods neither. */
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

  /** Lets the requests under way from the client's place end; for good. */
  async stop(): Promise<void> {
    this.#begun = [];
    await this.#stopChildren();
  }

  async #stopChildren(): Promise<void> {
    await Promise.all([...this.#children].map(endInput));
  }

  /** Resolves when so many more requests have been counted. */
  async more(count: number, timeoutMs = 60_000): Promise<void> {
    const wanted = this.totals.requests + count;
    await eventually(`${count} more requests`, () => this.totals.requests >= wanted, timeoutMs);
  }
}

/** A generator then lets its requests end, and ends. */
async function endInput(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => void child.on("close", resolve).stdin?.end());
}
