import { createHash } from "node:crypto";
import { transientError, type Clock, type Logger } from "../../base/index.ts";
import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { CallCluster } from "../terms/call-cluster.ts";
import type { FilterStatistics } from "../terms/filter-statistics.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { WasmModules, WasmSettings } from "../filters/lazy-wasm-filter.ts";
import { metricTypes } from "./abi.ts";
import { boundedModule } from "./bounded-module.ts";
import { engine, type CompiledModule } from "./engine.ts";
import { maxMemoryBytes, maxVirtualMachines } from "./limits.ts";
import type { AttributeMap, MachineOptions } from "./messages.ts";
import { ModuleMachine, type MachineLease } from "./module-machine.ts";
import { ModulePlugin, type ModulePluginOptions } from "./module-plugin.ts";
import type { ModuleCode } from "./module-source.ts";
import { ModuleSources } from "./module-sources.ts";
import { SharedStore, SharedStoreLimits } from "./shared-store.ts";
import { WasmFilter } from "./wasm-filter.ts";

export interface ModuleHostOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: MetricsRegistry;
  readonly statistics: FilterStatistics;
  readonly callCluster: CallCluster;
  readonly hasCluster: (name: string) => boolean;
  readonly node: AttributeMap;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly fetch: typeof globalThis.fetch;
  readonly deadlineMs?: number;
  /** The maximum number of machines. {@link maxVirtualMachines} if absent. */
  readonly maxMachines?: number;
}

interface Running {
  readonly machine: ModuleMachine;
  /** The share of the maximum number of machines that this machine takes. It counts for the machine's owner. */
  readonly share: BudgetShare;
  users: number;
}

interface Handle {
  readonly plugin: ModulePlugin;
}

const levels = ["debug", "debug", "info", "warn", "error", "error"] as const;

/**
 * The names that istiod gives to plugins, including those of upstream's istiod. A namespace's name contains no dot, so
 * the name shows the namespace.
 */
const pluginNames = /^exten(?:sions|stions)\.istio\.io\/(?:trafficextension|wasmplugin)\/([^./]+)\./;

/**
 * The namespace whose users wrote the plugin, from the filter's name. Empty for a filter that an EnvoyFilter inserts:
 * the author of an EnvoyFilter can change the whole proxy anyway.
 */
function ownerOf(filterName: string): string {
  return pluginNames.exec(filterName)?.[1] ?? "";
}

/**
 * The WebAssembly modules of one proxy. Each module is compiled once, and runs once for each virtual machine that
 * plugins configure.
 *
 * Plugins of different namespaces share neither machines nor state. So at a shared waypoint, a plugin cannot end the
 * plugins of other namespaces, and cannot read their state.
 */
export class ModuleHost implements WasmModules {
  readonly #options: ModuleHostOptions;
  readonly #stores = new Map<string, SharedStore>();
  readonly #storeLimits = new SharedStoreLimits();
  readonly #machineLimit: SharedBudget;
  readonly #sources: ModuleSources;
  readonly #compiled = new Map<string, WeakRef<CompiledModule>>();
  readonly #machines = new Map<string, Running>();
  readonly #plugins = new Map<string, WeakRef<Handle>>();
  readonly #unused: FinalizationRegistry<ModulePlugin>;

  constructor(options: ModuleHostOptions) {
    this.#options = options;
    this.#machineLimit = new SharedBudget(options.maxMachines ?? maxVirtualMachines);
    const fetches = options.registry.counter(
      "istio_agent_wasm_remote_fetch_count",
      "Fetches of WebAssembly modules, by their result.",
      ["result"],
    );
    this.#sources = new ModuleSources({ ...options, fetched: (result) => fetches.labels(result).increment() });
    this.#unused = new FinalizationRegistry((plugin) => plugin.end());
    options.registry.onCollect(() => this.#expose());
  }

  /**
   * Creates the filter of a plugin. Filters with equal settings share a plugin, which ends with the last of these
   * filters.
   */
  filter(name: string, settings: WasmSettings): HttpFilter {
    const { clock, statistics, log } = this.#options;
    const { vmId, vmConfiguration, environment, code, failure, key } = settings;
    const owner = ownerOf(name);
    const place = `${owner} ${key}`;
    let handle = this.#plugins.get(place)?.deref();
    if (handle === undefined) {
      const options: ModulePluginOptions = {
        plugin: settings.plugin,
        machine: { vmId, configuration: vmConfiguration, environment },
        failure,
        load: async () => await this.#sources.load(code),
      };
      const plugin = new ModulePlugin(options, {
        steadyMs: () => clock.steadyMs(),
        lease: async (code, machine) => await this.#lease(owner, code, machine),
        failed: (failed, message) => {
          statistics.counter("wasm.plugin_failed").increment();
          log.error("a WebAssembly plugin failed", { plugin: failed, failStrategy: failure, error: message });
        },
      });
      handle = { plugin };
      this.#unused.register(handle, plugin);
      this.#forgetUnused();
      this.#plugins.set(place, new WeakRef(handle));
    }
    return new WasmFilter({ name, handle, clock, without: statistics.counter("wasm.requests_without_plugin") });
  }

  end(): void {
    for (const { machine } of this.#machines.values()) machine.end();
    this.#machines.clear();
  }

  #forgetUnused(): void {
    for (const [place, handle] of this.#plugins) if (handle.deref() === undefined) this.#plugins.delete(place);
    for (const [checksum, module] of this.#compiled) if (module.deref() === undefined) this.#compiled.delete(checksum);
  }

  async #lease(owner: string, code: ModuleCode, options: Omit<MachineOptions, "node">): Promise<MachineLease> {
    const module = await this.#compile(code);
    const key = createHash("sha256")
      .update(JSON.stringify([owner, options.vmId, options.environment, code.checksum]))
      .update(options.configuration)
      .digest("hex");
    let running = this.#machines.get(key);
    if (running === undefined || running.machine.failed) {
      const share = this.#machineLimit.share(owner);
      if (!share.set(1))
        throw transientError(
          "busy",
          `${owner === "" ? "the plugins of EnvoyFilters" : `the plugins of namespace ${owner}`} run as many modules as they may, which is half of what others leave of ${this.#options.maxMachines ?? maxVirtualMachines}`,
        );
      const machine = this.#machine(owner, module, { ...options, node: this.#options.node });
      running = { machine, share, users: 0 };
      this.#machines.set(key, running);
      this.#options.statistics.counter("wasm.created").increment();
    }
    const lease = running;
    lease.users += 1;
    return {
      machine: lease.machine,
      release: () => {
        lease.users -= 1;
        if (lease.users > 0) return;
        lease.machine.end();
        lease.share.set(0);
        if (this.#machines.get(key) === lease) this.#machines.delete(key);
      },
    };
  }

  async #compile({ bytes, checksum }: ModuleCode): Promise<CompiledModule> {
    const known = this.#compiled.get(checksum)?.deref();
    if (known !== undefined) return known;
    const module = await engine.compile(boundedModule(bytes, maxMemoryBytes));
    this.#compiled.set(checksum, new WeakRef(module));
    return module;
  }

  #storeOf(owner: string): SharedStore {
    let store = this.#stores.get(owner);
    if (store === undefined) this.#stores.set(owner, (store = new SharedStore(owner, this.#storeLimits)));
    return store;
  }

  #machine(owner: string, module: CompiledModule, options: MachineOptions): ModuleMachine {
    const store = this.#storeOf(owner);
    const { clock, callCluster, hasCluster, statistics, log, deadlineMs } = this.#options;
    return new ModuleMachine(module, options, {
      clock,
      store,
      callCluster,
      hasCluster,
      logLevel: () => levels.indexOf("info"),
      log: (level, plugin, text) => log[levels[level] ?? "error"](`module: ${text}`, plugin === "" ? {} : { plugin }),
      counted: (kind) => statistics.counter(`wasm.${kind}s`).increment(),
      record: (id, value) => this.#record(store, id, value),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
  }

  #record(store: SharedStore, id: number, value: bigint): void {
    const metric = store.metric(id);
    if (metric?.type !== metricTypes.histogram) return;
    this.#safely(() =>
      this.#options.registry
        .histogram(metricName(metric.name), "Recorded by a WebAssembly module.", [], buckets)
        .labels()
        .observe(Number(value)),
    );
  }

  /**
   * Runs the function, and counts an error instead of throwing it: a metric's name may already belong to another kind
   * of metric of the proxy.
   */
  #safely(run: () => void): void {
    try {
      run();
    } catch {
      this.#options.statistics.counter("wasm.metrics_refused").increment();
    }
  }

  /**
   * Exposes the metrics that modules define, under the names that upstream gives them. Metrics with the same name are
   * added up.
   */
  #expose(): void {
    const { registry } = this.#options;
    const sums = new Map<string, Sum>();
    for (const store of this.#stores.values())
      for (const { type, name, value } of store.metrics()) {
        const place = `${type} ${name}`;
        sums.set(place, { type, name, value: (sums.get(place)?.value ?? 0n) + value });
      }
    for (const sum of sums.values()) this.#safely(() => exposeMetric(registry, sum));
  }
}

interface Sum {
  readonly type: number;
  readonly name: string;
  readonly value: bigint;
}

function exposeMetric(registry: MetricsRegistry, { type, name, value }: Sum): void {
  const help = "Counted by a WebAssembly module.";
  if (type === metricTypes.gauge) registry.gauge(metricName(name), help).labels().set(Number(value));
  else if (type === metricTypes.counter) {
    const counter = registry.counter(metricName(name), help).labels();
    counter.add(Math.max(0, Number(value) - counter.value));
  }
}

/** Upper bounds for values that modules record, which are usually milliseconds. */
const buckets = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

function metricName(name: string): string {
  const text = name.replaceAll(/[^a-zA-Z0-9_:]/g, "_");
  return /^[0-9]/.test(text) ? `_${text}` : text;
}
