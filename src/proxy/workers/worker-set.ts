import type { Worker } from "node:worker_threads";
import { aborted, Backoff, messageOf, transientError, userError, type LogLevel } from "../../base/index.ts";
import {
  certificateParts,
  type CertificateParts,
  type EndpointAnswer,
  type WorkloadCertificate,
  type XdsClient,
  type XdsSubscription,
  type XdsUpdate,
} from "../../dataplane/index.ts";
import {
  mergeSnapshots,
  renderSnapshot,
  snapshotOf,
  type FamilySnapshot,
  type Gauge,
  type MetricFamily,
} from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { DataPathOptions } from "../data-path.ts";
import type { ClusterStatus } from "../observe/cluster-status.ts";
import { sharedMetrics, type Statistic } from "../observe/proxy-stats.ts";
import type { Serving, ServingStatus } from "../serving.ts";
import { ConfigMirror } from "./config-mirror.ts";
import { mergeClusters, mergeStatistics } from "./merge-counts.ts";
import { ThreadCalls } from "./thread-calls.ts";
import { watchWorker, type WatchLimits } from "./watch-worker.ts";
import type { ProcessCalls, UpdateOutcome, WorkerCalls, WorkerStart } from "./worker-calls.ts";
import { limitsMemory, releaseWorker, type LimitsMemory } from "./worker-limits.ts";

/** The part of a thread that a {@link WorkerSet} uses. */
export type WorkerThread = Pick<Worker, "on" | "postMessage" | "terminate">;

export interface WorkerSetOptions {
  readonly count: number;
  readonly spawn: (start: WorkerStart) => WorkerThread;
  readonly data: Pick<DataPathOptions, "settings" | "registry" | "resolve" | "log" | "clock" | "random" | "startedMs">;
  /** When a worker counts as stuck. */
  readonly watch?: WatchLimits;
}

interface LiveWorker {
  readonly thread: WorkerThread;
  readonly calls: ThreadCalls<WorkerCalls, ProcessCalls>;
  readonly exited: Promise<void>;
  /** As it stood when somebody asked last: what it has counted is not lost with it. */
  metrics: readonly FamilySnapshot[];
  statistics: readonly Statistic[];
}

const replaceInitialMs = 100;
const replaceMaxMs = 15_000;
/** A worker that lived so long was not ended by what it was given at its start. */
const steadyAfterMs = 60_000;
/** So long after a worker has ended, requests may still wait that came by its connections. */
const ownedAfterEndMs = 5000;
/** For a worker to end in order. */
const endLimitMs = 5000;

/** Several workers, each in a thread with listeners and connections of its own, which serve as one proxy. */
export class WorkerSet implements Serving {
  readonly workers: number;
  readonly #options: WorkerSetOptions;
  readonly #subscriptions: readonly XdsSubscription[];
  readonly #mirror: ConfigMirror;
  readonly #live = new Map<number, LiveWorker>();
  readonly #connections: MetricFamily<Gauge>;
  readonly #limits: LimitsMemory;
  #client: Pick<XdsClient, "setNames"> | undefined;
  #certificate: CertificateParts | undefined;
  #logLevel: LogLevel;
  #draining: { readonly inboundOnly: boolean } | undefined;
  #closesUnused = false;
  #listens = true;
  /** When a worker ended last, on the steady clock. */
  #lostAtMs = -Infinity;
  readonly #ended = new AbortController();
  /** Of workers that have ended. */
  #pastMetrics: readonly FamilySnapshot[] = [];
  #pastStatistics: readonly Statistic[] = [];

  constructor(options: WorkerSetOptions) {
    this.#options = options;
    this.workers = options.count;
    this.#logLevel = options.data.log.level;
    this.#limits = limitsMemory(options.count);
    this.#connections = options.data.registry.gauge(
      "serin_proxy_worker_connections",
      "Connections of clients that live now, by worker.",
      ["worker"],
    );
    const apply = (update: XdsUpdate): Promise<void> => this.#take(update);
    this.#subscriptions = workerTypes.map(({ type, mode }) => ({ typeUrl: type, mode, apply }));
    this.#mirror = new ConfigMirror(this.#subscriptions, typeUrls.listener);
  }

  subscriptions(): readonly XdsSubscription[] {
    return this.#subscriptions;
  }

  attach(client: Pick<XdsClient, "setNames">): void {
    this.#client = client;
  }

  start(): void {
    for (let index = 0; index < this.#options.count; index += 1) void this.#keep(index);
  }

  certify(certificate: WorkloadCertificate): void {
    this.#certificate = certificateParts(certificate);
    this.#tell("certify", this.#certificate);
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#tell("setLogLevel", level);
  }

  async status(): Promise<ServingStatus> {
    const parts = await this.#all("status", undefined);
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

  drain(inboundOnly: boolean): void {
    this.#draining = { inboundOnly };
    this.#tell("drain", inboundOnly);
  }

  closeUnused(): void {
    this.#closesUnused = true;
    this.#tell("closeUnused", undefined);
  }

  stopListening(): void {
    this.#listens = false;
    this.#tell("stopListening", undefined);
  }

  closeQuiet(quietMs: number): void {
    this.#tell("closeQuiet", quietMs);
  }

  closeAll(): void {
    this.#tell("closeAll", undefined);
  }

  async end(force: AbortSignal): Promise<void> {
    this.#ended.abort();
    void aborted(force).then(() => this.#tell("force", undefined));
    const { clock, log } = this.#options.data;
    const limit = new AbortController();
    const inTime = await Promise.race([
      this.#all("end", undefined).then(() => true),
      clock.sleep(endLimitMs, limit.signal).then(
        () => false,
        () => false,
      ),
    ]);
    limit.abort();
    if (!inTime) log.warn("workers did not end in time: they are ended by force", { limit_ms: endLimitMs });
    await Promise.all([...this.#live.values()].map(({ thread }) => thread.terminate()));
  }

  /** Whose connections a worker that has just ended had opened, nobody can tell: any may be one of them. */
  async owns(remotePort: number, localPort: number): Promise<boolean> {
    if ((await this.#all("owns", { remotePort, localPort })).includes(true)) return true;
    return this.#options.data.clock.steadyMs() - this.#lostAtMs < ownedAfterEndMs;
  }

  /** The configuration is the same in all of them. */
  async answer(target: string): Promise<EndpointAnswer> {
    for (const { calls } of this.#live.values()) {
      const answer = await calls.call("answer", target).catch(() => undefined);
      if (answer !== undefined) return answer;
    }
    return { status: 503, body: "no worker serves at the moment\n" };
  }

  async clusters(): Promise<readonly ClusterStatus[]> {
    return mergeClusters(await this.#all("clusters", undefined));
  }

  async statistics(): Promise<readonly Statistic[]> {
    await this.#each("statistics", undefined, (worker, statistics) => (worker.statistics = statistics));
    return mergeStatistics([...[...this.#live.values()].map(({ statistics }) => statistics), this.#pastStatistics]);
  }

  async metrics(): Promise<string> {
    await this.#each("metrics", undefined, (worker, metrics) => (worker.metrics = metrics));
    const parts = [...this.#live.values()].map(({ metrics }) => metrics);
    for (const [index, { metrics }] of this.#live)
      this.#connections.labels(String(index)).set(
        metrics
          .filter(({ name }) => name === "serin_proxy_connections")
          .flatMap(({ series }) => series)
          .reduce((sum, { value }) => sum + value, 0),
      );
    const own = snapshotOf(this.#options.data.registry);
    return renderSnapshot(mergeSnapshots([own, ...parts, this.#pastMetrics], sharedMetrics));
  }

  /** Gives an update to all; it is taken when none of them refuses it. */
  async #take(update: XdsUpdate): Promise<void> {
    const given = this.#mirror.try(update);
    const outcomes = await this.#all("update", given);
    if (outcomes.length === 0 && this.#live.size < this.#options.count) {
      this.#mirror.forget(given);
      throw transientError("no-worker", "no worker took it: all of them ended meanwhile");
    }
    this.#setNames(outcomes);
    const troubles = new Set(outcomes.flatMap(({ error }) => error ?? []));
    if (troubles.size > 0) throw userError("config-rejected", [...troubles].join("; "));
    this.#mirror.accept(given);
  }

  #setNames(outcomes: readonly UpdateOutcome[]): void {
    const wanted = new Map<string, Set<string>>();
    for (const { names } of outcomes)
      for (const [typeUrl, list] of names) wanted.set(typeUrl, new Set([...(wanted.get(typeUrl) ?? []), ...list]));
    for (const [typeUrl, names] of wanted) {
      this.#mirror.keepNames(typeUrl, names);
      this.#client?.setNames(typeUrl, names);
    }
  }

  /** Keeps one worker alive: another takes its place when it ends. Never throws. */
  async #keep(index: number): Promise<void> {
    const { data } = this.#options;
    const { clock, random, log } = data;
    const backoff = new Backoff({ initialMs: replaceInitialMs, maxMs: replaceMaxMs, random });
    while (!this.#ended.signal.aborted) {
      const bornMs = clock.steadyMs();
      let trouble = "it ended";
      const exit = new AbortController();
      try {
        const worker = this.#begin(index, (error) => (trouble = messageOf(error)));
        this.#live.set(index, worker);
        const onStuck = (forMs: number): void => {
          trouble = `it has not answered for ${forMs} ms`;
          void worker.thread.terminate();
        };
        void watchWorker(
          { ask: () => worker.calls.call("live", undefined), onStuck, clock, ...this.#watch() },
          exit.signal,
        );
        await worker.exited;
        releaseWorker(this.#limits, index);
        this.#lostAtMs = clock.steadyMs();
        this.#live.delete(index);
        this.#connections.remove(String(index));
        worker.calls.close(transientError("worker-ended", `a worker has ended: ${trouble}`));
        this.#remember(worker);
      } catch (error) {
        trouble = messageOf(error);
      }
      exit.abort();
      if (this.#ended.signal.aborted) return;
      if (clock.steadyMs() - bornMs >= steadyAfterMs) backoff.reset();
      const waitMs = backoff.nextMs();
      log.error("a worker has ended: its connections are lost, and another takes its place", {
        worker: index,
        error: trouble,
        wait_ms: Math.round(waitMs),
      });
      await clock.sleep(waitMs, this.#ended.signal).catch(() => undefined);
    }
  }

  /** A worker that is brought to where the others are: what it is called for from now on comes after that. */
  #begin(index: number, onError: (error: unknown) => void): LiveWorker {
    const { spawn, data } = this.#options;
    const { settings, startedMs, resolve } = data;
    const thread = spawn({ settings, startedMs, logLevel: this.#logLevel, worker: index, limits: this.#limits });
    thread.on("error", onError);
    const exited = new Promise<void>((done) => thread.on("exit", () => done()));
    const calls = new ThreadCalls<WorkerCalls, ProcessCalls>(thread, {
      resolve,
      ejected: (ejection) => {
        for (const [other, worker] of this.#live)
          if (other !== index) void worker.calls.call("eject", ejection).catch(() => undefined);
      },
    });
    const ask = <Name extends keyof WorkerCalls>(name: Name, argument: Parameters<WorkerCalls[Name]>[0]): void =>
      void calls.call(name, argument).catch(() => undefined);
    if (this.#certificate !== undefined) ask("certify", this.#certificate);
    if (this.#draining !== undefined) ask("drain", this.#draining.inboundOnly);
    if (this.#closesUnused) ask("closeUnused", undefined);
    for (const update of this.#mirror.replay()) ask("update", update);
    if (!this.#listens) ask("stopListening", undefined);
    return { thread, calls, exited, metrics: [], statistics: [] };
  }

  #watch(): { readonly limits?: WatchLimits } {
    const { watch } = this.#options;
    return watch === undefined ? {} : { limits: watch };
  }

  #remember({ metrics, statistics }: LiveWorker): void {
    this.#pastMetrics = mergeSnapshots(
      [this.#pastMetrics, metrics.filter(({ type }) => type !== "gauge")],
      sharedMetrics,
    );
    this.#pastStatistics = mergeStatistics([this.#pastStatistics, statistics.filter(({ type }) => type === "counter")]);
  }

  #tell<Name extends keyof WorkerCalls>(name: Name, argument: Parameters<WorkerCalls[Name]>[0]): void {
    void this.#all(name, argument);
  }

  /** The answers of those that live on until they have answered. */
  async #all<Name extends keyof WorkerCalls>(
    name: Name,
    argument: Parameters<WorkerCalls[Name]>[0],
  ): Promise<ReturnType<WorkerCalls[Name]>[]> {
    const answers: ReturnType<WorkerCalls[Name]>[] = [];
    await this.#each(name, argument, (_worker, answer) => answers.push(answer));
    return answers;
  }

  async #each<Name extends keyof WorkerCalls>(
    name: Name,
    argument: Parameters<WorkerCalls[Name]>[0],
    use: (worker: LiveWorker, answer: ReturnType<WorkerCalls[Name]>) => void,
  ): Promise<void> {
    await Promise.all(
      [...this.#live.values()].map(async (worker) => {
        try {
          use(worker, await worker.calls.call(name, argument));
        } catch (error) {
          // Of one that has ended, whose place another takes.
          this.#options.data.log.debug("a worker did not answer", { call: name, error: messageOf(error) });
        }
      }),
    );
  }
}

/** In the order in which a client should ask, as the workers' own configuration has them. */
const workerTypes = [
  { type: typeUrls.cluster, mode: "wildcard" },
  { type: typeUrls.endpoint, mode: "named" },
  { type: typeUrls.listener, mode: "wildcard" },
  { type: typeUrls.route, mode: "named" },
  { type: typeUrls.virtualHost, mode: "named" },
  { type: typeUrls.secret, mode: "named" },
] as const;
