import { messageOf, type Logger } from "../../base/index.ts";
import type { PodProxy } from "../proxy/pod-proxy.ts";
import type { AddedPod, PodDescriptors, ServedPods } from "../proxy/served-pods.ts";

export interface PodManagerOptions {
  readonly create: (pod: AddedPod) => PodProxy;
  readonly log: Logger;
  /** How long connections of a pod may live after its removal without a hand-over. */
  readonly terminationGraceMs: number;
}

export class PodManager implements ServedPods {
  readonly #options: PodManagerOptions;
  readonly #pods = new Map<string, PodProxy>();
  /** Pods that were handed over or removed, and may still have live connections. */
  readonly #draining = new Set<PodProxy>();
  #stopped = false;

  constructor(options: PodManagerOptions) {
    this.#options = options;
  }

  get(uid: string): PodProxy | undefined {
    return this.#pods.get(uid);
  }

  descriptors(uid: string): PodDescriptors | undefined {
    return this.#pods.get(uid)?.descriptors;
  }

  list(): readonly PodProxy[] {
    return [...this.#pods.values(), ...[...this.#draining].filter((pod) => pod.state !== "closed")];
  }

  uids(): readonly string[] {
    return [...this.#pods.keys()];
  }

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

  /** Resolves when a removed pod has no connections left. */
  async closed(uid: string): Promise<void> {
    await Promise.all([...this.#draining].filter((pod) => pod.uid === uid).map(async (pod) => await pod.closed));
  }

  drainAll(): void {
    this.#stopped = true;
    for (const pod of this.#pods.values()) pod.drain();
  }

  /** Resolves when no pod has a connection, or when the limit resolves. Call it only after {@link drainAll}. */
  async idle(limit: Promise<void>): Promise<void> {
    await Promise.race([Promise.all(this.list().map(async (pod) => await pod.closed)), limit]);
  }

  closeAll(): void {
    for (const pod of this.list()) pod.close();
  }
}
