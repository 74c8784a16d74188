import { messageOf, type Logger } from "../../base/index.ts";
import type { PassedListener, PodProxy } from "../proxy/pod-proxy.ts";
import type { WorkloadInfo } from "../state/model.ts";

export interface AddedPod {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly namespaceFd: number | undefined;
  readonly listeners: readonly PassedListener[];
}

export interface PodManagerOptions {
  readonly create: (pod: AddedPod) => PodProxy;
  readonly log: Logger;
  /** How long connections may live on when a pod is removed without a hand-over. */
  readonly terminationGraceMs: number;
}

/** The pods that we serve, by uid. */
export class PodManager {
  readonly #options: PodManagerOptions;
  readonly #pods = new Map<string, PodProxy>();
  /** Pods that were handed over or removed and still have live connections. */
  readonly #draining = new Set<PodProxy>();
  #stopped = false;

  constructor(options: PodManagerOptions) {
    this.#options = options;
  }

  get(uid: string): PodProxy | undefined {
    return this.#pods.get(uid);
  }

  list(): readonly PodProxy[] {
    return [...this.#pods.values(), ...[...this.#draining].filter((pod) => pod.state !== "closed")];
  }

  uids(): readonly string[] {
    return [...this.#pods.keys()];
  }

  /** Fails if the pod's listeners cannot be opened. Then the pod counts as not added. */
  async add(added: AddedPod): Promise<void> {
    const pod = this.#options.create(added);
    this.#pods.set(added.uid, pod);
    try {
      await pod.start();
    } catch (error) {
      this.#pods.delete(added.uid);
      this.#options.log.error("a pod cannot be served", {
        uid: added.uid,
        name: added.info.name,
        error: messageOf(error),
      });
      throw error;
    }
    if (this.#stopped) pod.drain();
  }

  /** Stops accepting at once. After a hand-over connections live on; otherwise they get the grace time. */
  remove(uid: string, handedOver: boolean): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    pod.drain();
    if (pod.state === "closed") return;
    this.#draining.add(pod);
    for (const old of this.#draining) if (old.state === "closed") this.#draining.delete(old);
    if (!handedOver) setTimeout(() => pod.close(), this.#options.terminationGraceMs).unref();
  }

  /** The process ends: no pod accepts any more. */
  drainAll(): void {
    this.#stopped = true;
    for (const pod of this.#pods.values()) pod.drain();
  }

  closeAll(): void {
    for (const pod of this.list()) pod.close();
  }
}
