// One TCP connection from the sleep pod to the echo service, which lives through the whole demo and counts its bytes.
import { systemClock } from "../../src/base/index.ts";
import { podKind } from "../../src/api/kubernetes/index.ts";
import { execInPod, type PodExec } from "../../src/kube/index.ts";
import type { Lab } from "./lab.ts";

/**
 * A script for bash that opens the connection. It sends each line of its input, and prints the server's answer, which
 * has a prefix.
 */
const script = `exec 3<>/dev/tcp/tcp-echo/9000 || exit 7
while IFS= read -r line; do printf '%s\\n' "$line" >&3; IFS= read -r answer <&3 || exit 8; printf '%s\\n' "$answer"; done`;

const lineEveryMs = 50;

export class LongConnection {
  sentLines = 0;
  answeredLines = 0;
  receivedBytes = 0;
  wrongLines = 0;
  /** Why the connection ended before we closed it. */
  broken: string | undefined;
  #exec: PodExec | undefined;
  #rest = "";
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  async open(lab: Lab, namespace: string): Promise<void> {
    const { items } = await lab.client.list(podKind, { namespace, labelSelector: "app=sleep" });
    const pod = items.find(({ status }) => status?.phase === "Running")?.metadata.name ?? "";
    this.#exec = await execInPod({
      config: lab.config,
      clock: systemClock,
      namespace,
      pod,
      command: ["/bin/bash", "-c", script],
      onStdout: (chunk) => this.#received(chunk),
    });
    this.#exec.exited.then(
      (code) => {
        if (!this.#closing) this.broken = `the command ended with ${code}`;
      },
      (error: unknown) => {
        if (!this.#closing) this.broken = String(error);
      },
    );
    this.#timer = setInterval(() => {
      if (this.broken !== undefined) return;
      this.#exec?.write(`line ${this.sentLines}\n`);
      this.sentLines += 1;
    }, lineEveryMs);
  }

  #received(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    const lines = (this.#rest + chunk.toString("utf8")).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== `hello line ${this.answeredLines}`) this.wrongLines += 1;
      this.answeredLines += 1;
    }
  }

  /** Closes without waiting. A demo that ends early needs this, because an open connection keeps the process alive. */
  abandon(): void {
    clearInterval(this.#timer);
    if (this.#closing) return;
    this.#closing = true;
    this.#exec?.endInput();
  }

  /** Waits up to 2 seconds for the last echoes, then closes the connection. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const deadline = performance.now() + 2000;
    while (this.answeredLines < this.sentLines && performance.now() < deadline) await systemClock.sleep(10);
    this.#closing = true;
    this.#exec?.endInput();
    await this.#exec?.exited.catch(() => undefined);
  }
}
