import { aborted, transientError, userError, type LogLevel } from "../../base/index.ts";
import { WorkerGroup, type WatchLimits, type WorkerThread } from "../../base/workers/index.ts";
import {
  certificateParts,
  type CertificateParts,
  type EndpointAnswer,
  type WorkloadCertificate,
  type XdsClient,
  type XdsSubscription,
  type XdsUpdate,
} from "../../dataplane/index.ts";
import { renderSnapshot, snapshotOf, type FamilyNames, type Gauge, type MetricFamily } from "../../telemetry/index.ts";
import { ThreadMetrics } from "../../telemetry/threads/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { DataPathOptions } from "../data-path.ts";
import { sharedMetrics } from "../admin/proxy-stats.ts";
import type { ClusterStatus, Serving, ServingStatus, Statistic } from "../serving.ts";
import { ConfigMirror } from "./config-mirror.ts";
import { mergeClusters, mergeStatistics } from "./merge-counts.ts";
import { ownsSocket } from "./own-sockets.ts";
import type { ProcessCalls, UpdateOutcome, WorkerCalls, WorkerStart } from "./worker-calls.ts";
import { WantedNames } from "./wanted-names.ts";
import { limitsMemory, releaseWorker, type LimitsMemory } from "./worker-limits.ts";

export interface WorkerSetOptions {
  readonly count: number;
  readonly spawn: (start: WorkerStart) => WorkerThread;
  readonly data: Pick<DataPathOptions, "settings" | "registry" | "resolve" | "log" | "clock" | "random" | "startedMs">;
  /** The limits above which a worker counts as stuck. */
  readonly watch?: WatchLimits;
}

/** How long after a worker's end requests from its connections may still be waiting. */
const ownedAfterEndMs = 5000;
/** Several worker threads that serve as one proxy. Each has its own listeners and connections. */
export class WorkerSet implements Serving {
  readonly workers: number;
  readonly #options: WorkerSetOptions;
  readonly #subscriptions: readonly XdsSubscription[];
  readonly #mirror: ConfigMirror;
  readonly #group: WorkerGroup<WorkerCalls, ProcessCalls>;
  readonly #connections: MetricFamily<Gauge>;
  readonly #unanswered: MetricFamily<Gauge>;
  readonly #limits: LimitsMemory;
  readonly #wanted = new WantedNames();
  #client: Pick<XdsClient, "setNames"> | undefined;
  #certificate: CertificateParts | undefined;
  #logLevel: LogLevel;
  #failsHealthChecks = false;
  #draining: { readonly inboundOnly: boolean } | undefined;
  #closesUnused = false;
  #listens = true;
  readonly #metrics = new ThreadMetrics(sharedMetrics);
  readonly #statuses = new Map<number, ServingStatus>();
  readonly #statistics = new Map<number, readonly Statistic[]>();
  /** The statistics of workers that have ended, so that counters do not fall. */
  #pastStatistics: readonly Statistic[] = [];

  constructor(options: WorkerSetOptions) {
    this.#options = options;
    this.workers = options.count;
    this.#logLevel = options.data.log.level;
    this.#limits = limitsMemory(options.count);
    this.#connections = options.data.registry.gauge(
      "serin_proxy_worker_connections",
      "Open client connections, by worker.",
      ["worker"],
    );
    this.#unanswered = options.data.registry.gauge(
      "serin_proxy_worker_unanswered",
      "1 for a worker that does not answer, and whose other metrics are its last ones.",
      ["worker"],
    );
    const apply = (update: XdsUpdate): Promise<void> => this.#take(update);
    this.#subscriptions = workerTypes.map(({ type, mode }) => ({ typeUrl: type, mode, apply }));
    this.#mirror = new ConfigMirror(this.#subscriptions, typeUrls.listener, lastingTypes);
    this.#group = this.#newGroup();
  }

  subscriptions(): readonly XdsSubscription[] {
    return this.#subscriptions;
  }

  attach(client: Pick<XdsClient, "setNames">): void {
    this.#client = client;
  }

  start(): void {
    this.#group.start();
  }

  certify(certificate: WorkloadCertificate): void {
    this.#certificate = certificateParts(certificate);
    this.#group.tell("certify", this.#certificate);
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#group.tell("setLogLevel", level);
  }

  /** Uses the last status of a worker that does not answer, because that worker may still serve its connections. */
  async status(): Promise<ServingStatus> {
    const unanswered = await this.#group.inTime("status", undefined, (index, status) =>
      this.#statuses.set(index, status),
    );
    for (const index of unanswered) {
      const { listeners = 0, connections = 0 } = this.#statuses.get(index) ?? {};
      const pending = [`an answer of worker ${index}`];
      this.#statuses.set(index, { pending, listeners, connections: Math.max(1, connections), quietMs: 0 });
    }
    const parts = [...this.#statuses.values()];
    const missing = this.#options.count - parts.length;
    return {
      pending: [
        ...new Set(parts.flatMap(({ pending }) => pending)),
        ...(missing === 0 ? [] : [`${missing} of ${this.#options.count} workers`]),
      ],
      listeners: Math.max(0, ...parts.map(({ listeners }) => listeners)),
      connections: parts.reduce((sum, { connections }) => sum + connections, 0),
      quietMs: Math.min(Infinity, ...parts.map(({ quietMs }) => quietMs)),
    };
  }

  failHealthChecks(fails: boolean): void {
    this.#failsHealthChecks = fails;
    this.#group.tell("failHealthChecks", fails);
  }

  drain(inboundOnly: boolean): void {
    this.#draining = { inboundOnly };
    this.#group.tell("drain", inboundOnly);
  }

  closeUnused(): void {
    this.#closesUnused = true;
    this.#group.tell("closeUnused", undefined);
  }

  stopListening(): void {
    this.#listens = false;
    this.#group.tell("stopListening", undefined);
  }

  closeQuiet(quietMs: number): void {
    this.#group.tell("closeQuiet", quietMs);
  }

  closeAll(): void {
    this.#group.tell("closeAll", undefined);
  }

  async end(force: AbortSignal): Promise<void> {
    this.#group.stopReplacing();
    void aborted(force).then(() => this.#group.tell("force", undefined));
    await this.#group.end(this.#group.all("end", undefined));
  }

  /**
   * Whether a worker has opened this connection. The connections of a worker that has just ended are unknown, so the
   * answer is then yes. A worker may also end while the others answer.
   */
  async owns(remotePort: number, localPort: number): Promise<boolean> {
    if (this.#hasJustLost()) return true;
    let isOwned = false;
    const unanswered = await this.#group.inTime("owns", { remotePort, localPort }, (_index, answer) => {
      isOwned ||= answer;
    });
    if (isOwned || this.#hasJustLost()) return true;
    return unanswered.length > 0 && ownsSocket(remotePort, localPort);
  }

  #hasJustLost(): boolean {
    return this.#options.data.clock.steadyMs() - this.#group.lostAtMs < ownedAfterEndMs;
  }

  /** Asks one worker, because all have the same configuration. */
  async answer(target: string): Promise<EndpointAnswer> {
    return (
      (await this.#group.anyInTime("answer", target)) ?? { status: 503, body: "no worker is serving at the moment\n" }
    );
  }

  async clusters(): Promise<readonly ClusterStatus[]> {
    const parts: (readonly ClusterStatus[])[] = [];
    await this.#group.inTime("clusters", undefined, (_index, clusters) => parts.push(clusters));
    return mergeClusters(parts);
  }

  /** Uses the last statistics of a worker that does not answer, and adds a statistic that names this worker. */
  async statistics(): Promise<readonly Statistic[]> {
    const unanswered = await this.#group.inTime("statistics", undefined, (index, statistics) =>
      this.#statistics.set(index, statistics),
    );
    const named = unanswered.map((index): Statistic => ({
      name: `server.worker_${index}.unanswered`,
      value: 1,
      metric: "serin_proxy_worker_unanswered",
      type: "gauge",
    }));
    return mergeStatistics([...this.#statistics.values(), this.#pastStatistics, named]);
  }

  async metrics(names?: FamilyNames): Promise<string> {
    const unanswered = await this.#group.inTime("metrics", undefined, (index, metrics) =>
      this.#metrics.take(index, metrics),
    );
    for (const index of this.#group.live)
      this.#unanswered.labels(String(index)).set(Number(unanswered.includes(index)));
    for (const index of this.#group.live)
      this.#connections.labels(String(index)).set(
        this.#metrics
          .of(index)
          .filter(({ name }) => name === "serin_proxy_connections")
          .flatMap(({ series }) => series)
          .reduce((sum, { value }) => sum + value, 0),
      );
    return renderSnapshot(this.#metrics.merged(snapshotOf(this.#options.data.registry)), names);
  }

  /** Gives an update to all workers. The update is accepted if none of them refuses it. */
  async #take(update: XdsUpdate): Promise<void> {
    // Wait until a worker runs. Otherwise the update would be refused although nothing may be wrong with it, and a
    // control plane does not send it again.
    await this.#group.untilSomeLives();
    const given = this.#mirror.try(update);
    const outcomes: UpdateOutcome[] = [];
    await this.#group.each("update", given, (worker, outcome) => {
      outcomes.push(outcome);
      this.#wants(worker, outcome.names);
    });
    if (outcomes.length === 0 && this.#group.live.length < this.#options.count) {
      this.#mirror.forget(given);
      throw transientError("worker-ended", "no worker received the update, because all of them ended meanwhile");
    }
    this.#request(outcomes.flatMap(({ names }) => [...names.keys()]));
    const troubles = new Set(outcomes.flatMap(({ error }) => error ?? []));
    if (troubles.size > 0) throw userError("config-rejected", [...troubles].join("; "));
    this.#mirror.accept(given);
  }

  #request(types: readonly string[]): void {
    for (const typeUrl of new Set(types)) {
      const names = this.#wanted.of(typeUrl);
      this.#mirror.keepNames(typeUrl, names);
      this.#client?.setNames(typeUrl, names);
    }
  }

  #need(worker: number, names: UpdateOutcome["names"]): void {
    this.#wants(worker, names);
    this.#request([...names.keys()]);
  }

  /**
   * Records what a worker needs, and gives it what others already have. The control plane does not send again what
   * another worker has needed all the time, and this worker may have forgotten it.
   */
  #wants(worker: number, names: UpdateOutcome["names"]): void {
    for (const [typeUrl, late] of this.#wanted.take(worker, names))
      for (const update of this.#mirror.part(typeUrl, late)) void this.#repeat(worker, update);
  }

  async #repeat(worker: number, update: XdsUpdate): Promise<void> {
    const outcome = await this.#group.call(worker, "update", update).catch(() => undefined);
    if (outcome !== undefined) this.#need(worker, outcome.names);
  }

  #newGroup(): WorkerGroup<WorkerCalls, ProcessCalls> {
    const { spawn, data, watch, count } = this.#options;
    const { settings, startedMs, resolve, clock, random, log } = data;
    return new WorkerGroup<WorkerCalls, ProcessCalls>({
      count,
      spawn: (worker) => spawn({ settings, startedMs, logLevel: this.#logLevel, worker, limits: this.#limits }),
      handlers: (index) => ({
        resolve: ({ name, client }) => resolve(name, client),
        need: (names) => this.#need(index, names),
        ejected: (ejection) => this.#group.tell("eject", ejection, index),
      }),
      onBegin: (ask, index) => {
        if (this.#certificate !== undefined) void ask("certify", this.#certificate);
        if (this.#failsHealthChecks) void ask("failHealthChecks", true);
        if (this.#draining !== undefined) void ask("drain", this.#draining.inboundOnly);
        if (this.#closesUnused) void ask("closeUnused", undefined);
        const replayed = [...this.#mirror.replay()].map(async (update) => {
          const outcome = await ask("update", update);
          // Record the names at once, because a later update may end before this one.
          if (outcome !== undefined) this.#wanted.take(index, outcome.names);
          return [...(outcome?.names.keys() ?? [])];
        });
        // Request only after all updates: listeners come last, so only all updates together say what the worker needs.
        void Promise.all(replayed).then((types) => this.#request(types.flat()));
        if (!this.#listens) void ask("stopListening", undefined);
      },
      onEnd: (index) => this.#lost(index),
      log,
      clock,
      random,
      ...(watch === undefined ? {} : { watch }),
    });
  }

  #lost(index: number): void {
    releaseWorker(this.#limits, index);
    this.#wanted.end(index);
    this.#connections.remove(String(index));
    this.#unanswered.remove(String(index));
    this.#statuses.delete(index);
    this.#metrics.ended(index);
    const last = this.#statistics.get(index) ?? [];
    this.#statistics.delete(index);
    this.#pastStatistics = mergeStatistics([this.#pastStatistics, last.filter(({ type }) => type === "counter")]);
  }
}

/** The types whose resources stay in force after their removal, as in `AppliedConfig` and `SecretStore`. */
const lastingTypes: ReadonlySet<string> = new Set([
  typeUrls.endpoint,
  typeUrls.route,
  typeUrls.extensionConfig,
  typeUrls.secret,
]);

/** The types of resources, in the order of the workers' own subscriptions. */
const workerTypes = [
  { type: typeUrls.cluster, mode: "wildcard" },
  { type: typeUrls.endpoint, mode: "named" },
  { type: typeUrls.listener, mode: "wildcard" },
  { type: typeUrls.route, mode: "named" },
  { type: typeUrls.virtualHost, mode: "named" },
  { type: typeUrls.extensionConfig, mode: "named" },
  { type: typeUrls.secret, mode: "named" },
] as const;
