import { messageOf, type Logger } from "../base/index.ts";
import { listenTcpInNamespace } from "../net/index.ts";
import type { AddedPod, PassedListener, ServedPods } from "./proxy/served-pods.ts";
import type { WorkloadInfo } from "./state/model.ts";

/** A uid that no pod of ZDS has, because the kubelet's uids contain no slash. */
const ownUid = "ztunnel/itself";

/**
 * Serves the ztunnel's own pod, as upstream does. Clients reach its port 15020 over HBONE on port 15008, with mutual
 * TLS, and under the policies of its own workload. Clients use HBONE if the pod has the label
 * `networking.istio.io/tunnel: http`.
 */
export class OwnPod {
  readonly #pods: ServedPods;
  readonly #info: WorkloadInfo;
  readonly #log: Logger;

  constructor(pods: ServedPods, info: WorkloadInfo, log: Logger) {
    this.#pods = pods;
    this.#info = info;
    this.#log = log;
  }

  /** Never throws: a ztunnel without this port still serves its node. */
  async start(port: number): Promise<void> {
    try {
      const pod: AddedPod = {
        uid: ownUid,
        info: this.#info,
        namespaceFd: undefined,
        listeners: ownListeners(port),
        itself: true,
      };
      await this.#pods.add(pod);
    } catch (error) {
      this.#log.warn(`port ${port} of this pod cannot be served, so this pod's metrics cannot be read over HBONE`, {
        error: messageOf(error),
      });
    }
  }

  /**
   * Ends the connections to the ztunnel's own pod after the grace time. Otherwise a scraper's connection would keep
   * this process alive.
   */
  end(): void {
    this.#pods.remove(ownUid, false);
  }
}

export function isOwnPod(uid: string): boolean {
  return uid === ownUid;
}

function ownListeners(port: number): readonly PassedListener[] {
  const listeners: PassedListener[] = [
    { role: "inbound-hbone", fd: listenTcpInNamespace(undefined, { address: "0.0.0.0", port }) },
  ];
  try {
    listeners.push({ role: "inbound-hbone/6", fd: listenTcpInNamespace(undefined, { address: "::", port }) });
  } catch {
    // Skip IPv6 if the kernel does not have it.
  }
  return listeners;
}
