// Constant load by curl from inside a pod. Each request opens a new connection, so that it passes every sidecar on its
// way. No request is repeated.
import { StringDecoder } from "node:string_decoder";
import type { ChildProcess } from "node:child_process";
import { bookRequests } from "./booked-requests.ts";
import { eventually } from "./eventually.ts";
import type { LabCluster } from "./lab-cluster.ts";

export interface PodLoadOptions {
  readonly namespace: string;
  readonly workload: string;
  readonly container: string;
  /** Options of curl may stand before a URL. */
  readonly urls: readonly string[];
}

/**
 * How often a second each URL is requested. A request over a new connection through two sidecars takes 10 ms of CPU
 * time.
 */
const roundsPerSecond = 5;
/**
 * How many rounds one curl sends. To start a curl takes ten times the CPU time of a request, but each new one asks the
 * DNS again.
 */
const roundsOfCurl = 10;
/** With at most so many curls, a forgotten run ends by itself. */
const maxCurls = 2_000;
/**
 * `close` makes curl open a connection for each request. The results go to standard error, which is not buffered, so
 * that each line comes at once.
 */
const requestOptions = `-H "Connection: close" -o /dev/null -m 4 -w "%{stderr}%{http_code} %{exitcode} %{url_effective} %{errormsg}\\n"`;

export class PodLoad {
  readonly failures: string[] = [];
  requests = 0;
  readonly #requestsWhenBegun: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(lab: Pick<LabCluster, "spawnInShell">, options: PodLoadOptions) {
    const { namespace, workload, container, urls } = options;
    this.#requestsWhenBegun = 2 * urls.length;
    const round = urls.map((url) => `${requestOptions} ${url}`);
    const requests = Array.from({ length: roundsOfCurl }, () => round)
      .flat()
      .join(" --next ");
    const curl = `curl -s --rate ${roundsPerSecond * urls.length}/s ${requests} 2>&1 || echo "curl ended with $?"`;
    const script = `i=0; while [ $i -lt ${maxCurls} ]; do i=$((i+1)); ${curl}; done`;
    this.#child = lab.spawnInShell([
      "kubectl",
      "exec",
      "-n",
      namespace,
      workload,
      "-c",
      container,
      "--",
      "sh",
      "-c",
      script,
    ]);
    const decoder = new StringDecoder("utf8");
    let rest = "";
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  /** Resolves when each URL has been requested twice. */
  async begun(): Promise<void> {
    await eventually("answers to the load from a pod", () => this.requests >= this.#requestsWhenBegun);
  }

  async more(count: number): Promise<void> {
    const wanted = this.requests + count;
    await eventually(`${count} more requests of load from a pod`, () => this.requests >= wanted);
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#ended;
    bookRequests("guide: pod", this.requests, this.failures);
  }

  #take(line: string): void {
    this.requests += 1;
    if (!line.startsWith("200 0 ")) this.failures.push(`${new Date().toISOString()} ${line}`);
  }
}
