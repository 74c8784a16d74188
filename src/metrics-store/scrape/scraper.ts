import { aborted, messageOf, onAbort, type Clock, type Logger } from "../../base/index.ts";
import {
  endpointsKind,
  nodeKind,
  podKind,
  serviceKind,
  type Endpoints,
  type Node,
  type Pod,
  type Service,
} from "../../api/kubernetes/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { SharedBudget } from "../../base/shared-budget/index.ts";
import { createInformer, type Informer, type KubeClient } from "../../kube/index.ts";
import type { SampleStore } from "../store/index.ts";
import type { FetchMetrics } from "./fetch-metrics.ts";
import type { DiscoveryRole, ScrapeConfig } from "./scrape-config.ts";
import { ScrapeTurns } from "../../base/scrape-turns/index.ts";
import { TargetLoop } from "./target-loop.ts";
import { targetsOf, type TargetSet } from "./targets.ts";

export interface ScraperOptions {
  readonly store: SampleStore;
  readonly fetch: FetchMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** The client for discovery. Without one, only static targets are scraped. */
  readonly client?: KubeClient | undefined;
  readonly namespace: string;
}

/** How long the scraper collects changes of the cluster before it computes the targets again. */
const gatherMs = 500;
const pruneEveryMs = 60_000;
/** The maximum number of metric families in `types`. */
const maxListedTypes = 20_000;
/**
 * The maximum size of the texts that loops keep from their targets' last scrapes: the heads of samples, and the types.
 * All namespaces share it.
 */
const maxTextBytes = 128 << 20;

interface RunningTarget {
  readonly loop: TargetLoop;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

interface Watches {
  readonly pods?: Informer<Pod>;
  readonly services?: Informer<Service>;
  readonly endpoints?: Informer<Endpoints>;
  readonly nodes?: Informer<Node>;
}

/** Discovers targets and scrapes them into the store. */
export class Scraper {
  readonly #options: ScraperOptions;
  readonly #loops = new Map<string, RunningTarget>();
  readonly #texts = new SharedBudget(maxTextBytes);
  readonly #turns = new ScrapeTurns();
  #config: ScrapeConfig;
  #targets: TargetSet = { active: [], dropped: [], droppedCount: 0 };
  #watches: Watches = {};
  #watched = new Set<DiscoveryRole>();
  #changed = Promise.withResolvers<void>();
  #pruning: Disposable | undefined;

  constructor(config: ScrapeConfig, options: ScraperOptions) {
    this.#config = config;
    this.#options = options;
  }

  get config(): ScrapeConfig {
    return this.#config;
  }

  get targets(): TargetSet {
    return this.#targets;
  }

  /** The declared types of metrics, by metric family. If targets disagree, the first one counts. */
  get types(): ReadonlyMap<string, string> {
    const types = new Map<string, string>();
    for (const { loop } of this.#loops.values())
      for (const [name, type] of loop.types) if (types.size < maxListedTypes && !types.has(name)) types.set(name, type);
    return types;
  }

  loops(): readonly TargetLoop[] {
    return [...this.#loops.values()].map(({ loop }) => loop);
  }

  /** Replaces the configuration. Targets that are also in the new one are scraped without interruption. */
  reconfigure(config: ScrapeConfig): void {
    this.#config = config;
    this.#changed.resolve();
  }

  /** Discovers and scrapes targets until the signal aborts. Resolves when all scrapes have ended. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const watching: Promise<void>[] = [];
    onAbort(signal, () => stop.abort());
    this.#pruneLater();
    try {
      while (!signal.aborted) {
        this.#changed = Promise.withResolvers<void>();
        watching.push(...this.#watch(stop.signal));
        await Promise.race([Promise.all(this.#informers().map(async ({ synced }) => await synced)), aborted(signal)]);
        if (!signal.aborted) this.#retarget(stop.signal);
        await Promise.race([this.#changed.promise, aborted(signal)]);
        await this.#options.clock.sleep(gatherMs, signal).catch(() => undefined);
      }
    } finally {
      this.#pruning?.[Symbol.dispose]();
      stop.abort();
      await Promise.allSettled([...watching, ...[...this.#loops.values()].map(async ({ done }) => await done)]);
    }
  }

  #pruneLater(): void {
    const { clock, store } = this.#options;
    this.#pruning = clock.after(pruneEveryMs, () => {
      store.prune(clock.nowMs());
      this.#pruneLater();
    });
  }

  #informers(): Informer<KubernetesObject>[] {
    return Object.values(this.#watches) as Informer<KubernetesObject>[];
  }

  /** Starts the watches that the configuration needs, unless they already run. */
  #watch(signal: AbortSignal): Promise<void>[] {
    const { client, log, clock } = this.#options;
    const roles = new Set(this.#config.jobs.flatMap(({ discoveries }) => discoveries.map(({ role }) => role)));
    // A target of Endpoints also has labels of its Service and pod, so watch these too.
    if (roles.has("endpoints")) for (const role of ["service", "pod"] as const) roles.add(role);
    if (roles.size > 0 && client === undefined)
      log.warn("no cluster to discover targets in: only static targets are scraped");
    if (client === undefined) return [];
    const started: Promise<void>[] = [];
    const start = <Value extends KubernetesObject>(
      role: DiscoveryRole,
      kind: KindDefinition<Value>,
    ): Informer<Value> | undefined => {
      if (!roles.has(role) || this.#watched.has(role)) return undefined;
      this.#watched.add(role);
      const informer = createInformer(client, kind, { log, clock, transform: withoutManagedFields });
      informer.subscribe(() => this.#changed.resolve());
      started.push(informer.run(signal));
      return informer;
    };
    const pods = start("pod", podKind);
    const services = start("service", serviceKind);
    const endpoints = start("endpoints", endpointsKind);
    const nodes = start("node", nodeKind);
    this.#watches = {
      ...this.#watches,
      ...(pods && { pods }),
      ...(services && { services }),
      ...(endpoints && { endpoints }),
      ...(nodes && { nodes }),
    };
    return started;
  }

  #retarget(signal: AbortSignal): void {
    const { pods, services, endpoints, nodes } = this.#watches;
    this.#targets = targetsOf(
      this.#config,
      {
        pods: pods?.list() ?? [],
        services: services?.list() ?? [],
        endpoints: endpoints?.list() ?? [],
        nodes: nodes?.list() ?? [],
      },
      this.#options.namespace,
    );
    const wanted = new Map(this.#targets.active.map((target) => [target.key, target]));
    for (const [key, { stop }] of this.#loops) {
      if (wanted.has(key)) continue;
      stop.abort();
      this.#loops.delete(key);
    }
    for (const [key, target] of wanted) {
      if (this.#loops.has(key)) continue;
      const stop = new AbortController();
      const loop = new TargetLoop({ ...this.#options, target, texts: this.#texts, turns: this.#turns });
      const done = loop
        .run(AbortSignal.any([signal, stop.signal]))
        .catch((error: unknown) =>
          this.#options.log.error("a target's scrapes ended", { url: target.url, error: messageOf(error) }),
        );
      this.#loops.set(key, { loop, stop, done });
    }
  }
}

function withoutManagedFields<Value extends KubernetesObject>(object: Value): Value {
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}
