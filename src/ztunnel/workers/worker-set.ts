import { transientError, type LogLevel } from "../../base/index.ts";
import { WorkerGroup, type WatchLimits, type WorkerThread } from "../../base/workers/index.ts";
import { certificateParts, type WorkloadCertificate } from "../../dataplane/tunnels/index.ts";
import { closeDescriptor, ownNamespaceFd } from "../../net/index.ts";
import { renderSnapshot, snapshotOf, type FamilyNames, type Gauge, type MetricFamily } from "../../telemetry/index.ts";
import { ThreadMetrics } from "../../telemetry/threads/index.ts";
import type { IdentityUsers } from "../proxy/identity-users.ts";
import { openListeners } from "../proxy/own-listeners.ts";
import { keepIdentity } from "../proxy/pod-identity.ts";
import type { ConnectionEntry, PodEntry } from "../serving.ts";
import type { MeshChange } from "../state/mesh-change.ts";
import { MeshState } from "../state/mesh-state.ts";
import type { AddedPod, PodDescriptors } from "../proxy/served-pods.ts";
import type { ServingData, ThreadServing } from "../ztunnel.ts";
import { ShareMemory } from "./share-memory.ts";
import type { ProcessCalls, WorkerCalls, WorkerStart } from "./worker-calls.ts";

/**
 * The maximum time in milliseconds for which the main thread tries to get a certificate that a worker needs. The
 * worker's next connection requests the certificate again.
 */
const certificateTimeoutMs = 30_000;

export interface WorkerSetOptions {
  readonly count: number;
  readonly spawn: (start: WorkerStart) => WorkerThread;
  readonly data: ServingData;
  readonly watch?: WatchLimits;
}

/** A pod whose sockets the main thread keeps open, because a worker may end before the pod does. */
interface HeldPod {
  readonly pod: AddedPod;
  readonly identity: Disposable | undefined;
  listens: boolean;
}

/** Several worker threads, which accept from the same sockets and serve as one ztunnel. */
export class WorkerSet implements ThreadServing {
  readonly state: MeshState;
  readonly #options: WorkerSetOptions;
  readonly #group: WorkerGroup<WorkerCalls, ProcessCalls>;
  readonly #identities: IdentityUsers;
  readonly #metrics = new ThreadMetrics();
  readonly #connections: MetricFamily<Gauge>;
  readonly #unanswered: MetricFamily<Gauge>;
  readonly #memory: SharedArrayBuffer;
  readonly #share: ShareMemory;
  readonly #held = new Map<string, HeldPod>();
  #logLevel: LogLevel;
  #drains = false;
  /** Whether all workers and this thread have stopped accepting. */
  #hasStopped = false;
  #lastLeft = -1;

  constructor(options: WorkerSetOptions) {
    const { count, data } = options;
    this.#options = options;
    this.state = new MeshState(data.config.clusterId);
    this.#identities = data.identities;
    this.#memory = ShareMemory.memory(count);
    this.#share = new ShareMemory(this.#memory);
    this.#logLevel = data.log.level;
    this.#connections = data.registry.gauge("serin_ztunnel_worker_connections", "Open connections, by worker.", [
      "worker",
    ]);
    this.#unanswered = data.registry.gauge(
      "serin_ztunnel_worker_unanswered",
      "1 for a worker that does not answer, and whose other metrics are its last ones.",
      ["worker"],
    );
    this.#group = this.#newGroup();
  }

  start(): void {
    this.#group.start();
  }

  get open(): number {
    return this.#share.open();
  }

  async apply(change: MeshChange): Promise<void> {
    this.state.apply(change);
    await this.#group.all("mesh", change);
  }

  certify(certificate: WorkloadCertificate): void {
    this.#group.tell("certify", certificateParts(certificate));
  }

  forget(identity: string): void {
    this.#group.tell("forget", identity);
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#group.tell("setLogLevel", level);
  }

  descriptors(uid: string): PodDescriptors | undefined {
    const held = this.#held.get(uid);
    if (held === undefined) return undefined;
    const { namespaceFd, listeners } = held.pod;
    return { namespaceFd, listeners: held.listens ? listeners : [] };
  }

  uids(): readonly string[] {
    return [...this.#held.keys()];
  }

  async add(added: AddedPod): Promise<void> {
    const { clock } = this.#options.data;
    const { uid, info } = added;
    const pod = this.#withListeners(added);
    const identity =
      added.itself === true
        ? undefined
        : keepIdentity(info, { state: this.state, clock, identities: this.#identities });
    const held = { pod, identity, listens: true };
    this.#held.set(uid, held);
    const troubles = (await this.#group.all("addPod", pod)).flatMap((trouble) => trouble ?? []);
    if (this.#drains) stopHolding(held);
    if (troubles.length === 0) return;
    this.remove(uid, false);
    throw transientError("pod-not-served", [...new Set(troubles)].join("; "));
  }

  remove(uid: string, handedOver: boolean): void {
    const held = this.#held.get(uid);
    if (held === undefined) return;
    this.#held.delete(uid);
    void this.#release(held, handedOver);
  }

  /** Leaves out a worker that does not answer. */
  async connections(): Promise<readonly ConnectionEntry[]> {
    const found: ConnectionEntry[] = [];
    const { count } = this.#group;
    await this.#group.inTime("connections", undefined, (worker, entries) => {
      // Each worker numbers its connections from 1. Make the numbers unique among workers.
      for (const entry of entries) found.push({ ...entry, id: entry.id * count + worker });
    });
    return found.toSorted((left, right) => left.openedAtMs - right.openedAtMs || left.id - right.id);
  }

  /** Leaves out the connections of a worker that does not answer. */
  async pods(): Promise<readonly PodEntry[]> {
    const merged = new Map<string, PodEntry>();
    await this.#group.inTime("pods", undefined, (_worker, entries) => {
      for (const entry of entries) {
        const key = `${entry.state} ${entry.uid}`;
        const known = merged.get(key)?.connections ?? [];
        merged.set(key, { ...entry, connections: [...known, ...entry.connections] });
      }
    });
    // Pods that accept connections come first, as with a single thread.
    return [...merged.values()].toSorted(
      (left, right) => Number(left.state !== "serving") - Number(right.state !== "serving"),
    );
  }

  async metrics(names?: FamilyNames): Promise<string> {
    const unanswered = await this.#group.inTime("metrics", undefined, (worker, metrics) =>
      this.#metrics.take(worker, metrics),
    );
    for (const worker of this.#group.live)
      this.#unanswered.labels(String(worker)).set(Number(unanswered.includes(worker)));
    for (const worker of this.#group.live)
      this.#connections.labels(String(worker)).set(
        this.#metrics
          .of(worker)
          .filter(({ name }) => name === "serin_ztunnel_connections")
          .flatMap(({ series }) => series)
          .reduce((sum, { value }) => sum + value, 0),
      );
    return renderSnapshot(this.#metrics.merged(snapshotOf(this.#options.data.registry)), names);
  }

  drain(): void {
    this.#drains = true;
    this.#group.stopReplacing();
    void this.#group.all("drain", undefined).then(() => {
      for (const held of this.#held.values()) stopHolding(held);
      this.#hasStopped = true;
      this.#tellLeft();
    });
  }

  async idle(): Promise<void> {
    await this.#group.all("idle", undefined);
  }

  abortAll(reason: Error): void {
    this.#group.tell("abortAll", reason.message);
  }

  async end(): Promise<void> {
    await this.#group.end(this.#group.all("end", undefined));
    for (const { identity } of this.#held.values()) identity?.[Symbol.dispose]();
  }

  #withListeners(added: AddedPod): AddedPod {
    if (added.listeners.length > 0) return added;
    const { config, log } = this.#options.data;
    const { namespaceFd } = added;
    try {
      return { ...added, listeners: openListeners(namespaceFd, config.ports, log.scoped("inpod")) };
    } catch (error) {
      if (namespaceFd !== undefined) closeDescriptor(namespaceFd);
      throw error;
    }
  }

  /**
   * Closes the descriptors of a removed pod. Running workers have copies of the listening sockets, so only a worker
   * that starts later would need these.
   */
  async #release(held: HeldPod, handedOver: boolean): Promise<void> {
    const { uid, namespaceFd } = held.pod;
    // Wait until every worker has removed the pod. A worker that has just started may be about to copy these
    // descriptors.
    await this.#group.all("removePod", { uid, handedOver });
    stopHolding(held);
    // Live connections need the pod's namespace and the identity's certificate until they end.
    await this.#group.all("podClosed", uid);
    if (namespaceFd !== undefined) closeDescriptor(namespaceFd);
    held.identity?.[Symbol.dispose]();
  }

  #tellLeft(): void {
    const left = this.#share.open();
    if (!this.#hasStopped || left === this.#lastLeft) return;
    this.#lastLeft = left;
    this.#options.data.log.scoped("drain").info(`draining, ${left} connection${left === 1 ? "" : "s"}`);
  }

  #newGroup(): WorkerGroup<WorkerCalls, ProcessCalls> {
    const { spawn, data, watch, count } = this.#options;
    const { config, nameservers, certificates, clock, random, log } = data;
    return new WorkerGroup<WorkerCalls, ProcessCalls>({
      count,
      spawn: (worker) =>
        spawn({
          config,
          nameservers,
          logLevel: this.#logLevel,
          worker,
          share: this.#memory,
          ownNamespaceFd: ownNamespaceFd(),
        }),
      handlers: () => ({
        needCertificate: async (identity) =>
          void (await certificates.fetch(identity, AbortSignal.timeout(certificateTimeoutMs))),
        certificateTrouble: (identity) => certificates.statuses().find((status) => status.identity === identity)?.error,
        offer: async ({ to, offered }) => await this.#group.call(to, "take", offered),
        left: () => this.#tellLeft(),
      }),
      onBegin: (ask) => {
        void ask("mesh", this.state.snapshot());
        for (const { certificate } of certificates.statuses())
          if (certificate !== undefined) void ask("certify", certificateParts(certificate));
        for (const { pod } of this.#held.values()) void ask("addPod", pod);
      },
      onEnd: (worker) => {
        this.#share.clear(worker);
        this.#connections.remove(String(worker));
        this.#unanswered.remove(String(worker));
        this.#metrics.ended(worker);
        this.#tellLeft();
      },
      log,
      clock,
      random,
      ...(watch === undefined ? {} : { watch }),
    });
  }
}

function stopHolding(held: HeldPod): void {
  if (held.listens) for (const { fd } of held.pod.listeners) closeDescriptor(fd);
  held.listens = false;
}
