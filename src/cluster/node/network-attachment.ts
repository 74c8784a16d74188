import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Pod } from "../../api/kubernetes/index.ts";
import { nodeHttp, transientError } from "../../base/index.ts";

const configPath = "etc/cni/net.d/serin-cni.conf";
const socketDirectory = "var/run/istio-cni";
const socketName = "pluginevent.sock";
const timeoutMs = 10_000;

/**
 * The node's agent for mesh enrolment: asked before a pod's first process starts, as long as its configuration file is
 * there (docs/contracts/cni.md).
 */
export class NetworkAttachment {
  readonly #hostRoot: string;

  constructor(hostRoot: string) {
    this.#hostRoot = hostRoot;
  }

  get installed(): boolean {
    return existsSync(join(this.#hostRoot, configPath));
  }

  /** Throws a transient error with the agent's words until it agrees. */
  async add(pod: Pod, initPid: number, ip: string): Promise<void> {
    const { name = "", namespace = "" } = pod.metadata;
    await this.#post("/cmdadd", {
      Netns: `/proc/${initPid}/ns/net`,
      PodName: name,
      PodNamespace: namespace,
      IPs: [{ Address: `${ip}/32` }],
    });
  }

  async remove(pod: Pod): Promise<void> {
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    await this.#post("/cmddel", { PodUID: uid, PodName: name, PodNamespace: namespace });
  }

  async #post(path: string, body: unknown): Promise<void> {
    // The socket's path may be longer than what an address holds; a descriptor of its directory shortens it.
    let directory: number;
    try {
      directory = openSync(join(this.#hostRoot, socketDirectory), "r");
    } catch {
      throw transientError("cni-unavailable", "the CNI agent has no socket yet");
    }
    try {
      await this.#exchange(`/proc/self/fd/${directory}/${socketName}`, path, JSON.stringify(body));
    } finally {
      closeSync(directory);
    }
  }

  async #exchange(socketPath: string, path: string, body: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const call = nodeHttp().request({
        socketPath,
        path,
        method: "POST",
        headers: { "content-type": "application/json", host: "cni" },
        timeout: timeoutMs,
        agent: false,
      });
      call.once("timeout", () => call.destroy(new Error("the CNI agent did not answer")));
      call.once("error", (error) =>
        reject(
          transientError("cni-unavailable", `the CNI agent cannot be reached: ${error.message}`, { cause: error }),
        ),
      );
      call.once("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.once("end", () => {
          if (response.statusCode === 200) resolve();
          else
            reject(
              transientError("cni-refused", `the CNI agent refused: ${text.trim() || `status ${response.statusCode}`}`),
            );
        });
        // After the end this says nothing; before it, the agent went away in the middle of its answer.
        response.once("close", () => reject(transientError("cni-unavailable", "the CNI agent broke its answer off")));
      });
      call.end(body);
    });
  }
}
