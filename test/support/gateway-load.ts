// Constant load on a gateway's address from the lab's host namespace. No request is repeated.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bookRequests } from "./booked-requests.ts";
import { eventually } from "./eventually.ts";
import { root, type LabCluster } from "./lab-cluster.ts";

interface Report {
  readonly requests: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly failures: readonly unknown[];
}

export interface GatewayLoadOptions {
  readonly releaseRoot?: string;
  /** `name: value`, sent with every request. */
  readonly header?: string;
  /** A text that every answer must contain. By default, bookinfo's title. */
  readonly expected?: string;
  /** The first group names the pod or version that has answered. */
  readonly answerPattern?: string;
  /** The shortest time between two requests of a client. By default, {@link defaultPauseMs}. */
  readonly pauseMs?: number;
  /** How many clients keep their connections, and how many open new ones. By default, 1 of each. */
  readonly clientsOfEachKind?: number;
}

/**
 * Gives eight requests a second. A page of bookinfo takes 20 ms of CPU time or more, so twenty pages a second took a
 * third of a core. Eight still show a gateway that fails for a quarter of a second.
 */
const defaultPauseMs = 250;

/** Half of the clients keep their connections, and half open a new one for each request. */
export class GatewayLoad {
  readonly failures: unknown[] = [];
  /** The number of answers by `namespace/version`. */
  readonly answers = new Map<string, number>();
  requests = 0;
  readonly #clients: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(lab: Pick<LabCluster, "spawnInShell">, url: string, options: GatewayLoadOptions = {}) {
    const { releaseRoot = root, header = "", expected, answerPattern, pauseMs = defaultPauseMs } = options;
    const { clientsOfEachKind = 1 } = options;
    this.#clients = 2 * clientsOfEachKind;
    const node = process.execPath.replace(root, releaseRoot);
    this.#child = lab.spawnInShell([
      node,
      join(releaseRoot, "scripts/demo/load-client.ts"),
      url,
      String(clientsOfEachKind),
      String(clientsOfEachKind),
      String(pauseMs),
      header,
      ...(expected === undefined ? [] : [expected, answerPattern ?? ""]),
    ]);
    assert.ok(this.#child.stdout);
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const report = JSON.parse(line) as Report;
      this.requests += report.requests;
      this.failures.push(...report.failures);
      for (const [name, count] of Object.entries(report.answers))
        this.answers.set(name, (this.answers.get(name) ?? 0) + count);
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  /** Resolves when each client has had two answers, so that kept connections have been used again. */
  async begun(): Promise<void> {
    await eventually("answers to the load", () => this.requests >= 2 * this.#clients);
  }

  async more(count: number): Promise<void> {
    const wanted = this.requests + count;
    await eventually(`${count} more requests of load`, () => this.requests >= wanted);
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
    bookRequests(
      "guide: gateway",
      this.requests,
      this.failures.map((failure) => JSON.stringify(failure)),
    );
  }
}
