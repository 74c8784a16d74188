// Constant load by curl from inside a pod. Each request opens a new connection, so that it passes every sidecar on its
// way. No request is retried.
import { StringDecoder } from "node:string_decoder";
import type { ChildProcess } from "node:child_process";
import { bookRequests } from "./booked-requests.ts";
import { eventually } from "./eventually.ts";
import type { LabCluster } from "./lab-cluster.ts";

export interface PodLoadOptions {
  readonly namespace: string;
  readonly workload: string;
  readonly container: string;
  readonly urls: readonly string[];
}

/** A bound, so that a forgotten run ends by itself. */
const maxRounds = 20_000;

export class PodLoad {
  readonly failures: string[] = [];
  requests = 0;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(lab: Pick<LabCluster, "spawnInShell">, { namespace, workload, container, urls }: PodLoadOptions) {
    const asks = urls
      .map((url) => `curl -s -o /dev/null -m 4 -w "%{http_code} ${url}\\n" ${url} || echo "curl $? ${url}"`)
      .join("; ");
    const script = `i=0; while [ $i -lt ${maxRounds} ]; do i=$((i+1)); ${asks}; sleep 0.05; done`;
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

  /** Resolves after this many more answers. */
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
    if (!line.startsWith("200 ")) this.failures.push(`${new Date().toISOString()} ${line}`);
  }
}
