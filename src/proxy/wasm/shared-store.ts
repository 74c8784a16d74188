import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";
import { metricTypes, status } from "./abi.ts";
import { maxMetrics, maxQueuedItems, maxSharedBytes, maxSharedQueues } from "./limits.ts";
import type { SharedAnswer } from "./messages.ts";

interface Entry {
  readonly value: Uint8Array;
  readonly cas: number;
}

interface Queue {
  readonly items: Uint8Array[];
  /** Tells the plugin that was the last to register the queue that the queue has an item. */
  ready: (queue: number) => void;
}

export interface ModuleMetric {
  readonly id: number;
  readonly type: number;
  readonly name: string;
  value: bigint;
  /** The number of recorded values, if the metric is a histogram. */
  count: bigint;
}

/** The memory that an entry takes in addition to its bytes. */
const entryBytes = 64;

const notFound: SharedAnswer = { status: status.notFound };
const full: SharedAnswer = { status: status.internalFailure };

/** The limits of one proxy's shared state. Each owner has a part of them. */
export class SharedStoreLimits {
  readonly bytes = new SharedBudget(maxSharedBytes);
  readonly queues = new SharedBudget(maxSharedQueues);
  readonly metrics = new SharedBudget(maxMetrics);
}

/**
 * The state that the modules of one owner share in a proxy: data and queues by the id of their virtual machine, and
 * metrics by name.
 *
 * In Envoy, all modules of a proxy share it. Upstream gives all plugins the same id. So at a shared waypoint, a plugin
 * could read and change what the plugins of other namespaces keep there, such as tokens.
 */
export class SharedStore {
  readonly #data = new Map<string, Entry>();
  readonly #queueIds = new Map<string, number>();
  readonly #queues = new Map<number, Queue>();
  readonly #metrics = new Map<string, ModuleMetric>();
  readonly #metricsById = new Map<number, ModuleMetric>();
  readonly #bytes: BudgetShare;
  readonly #queueShare: BudgetShare;
  readonly #metricShare: BudgetShare;
  #nextCas = 0;
  #nextMetric = 0;

  constructor(owner = "", limits = new SharedStoreLimits()) {
    this.#bytes = limits.bytes.share(owner);
    this.#queueShare = limits.queues.share(owner);
    this.#metricShare = limits.metrics.share(owner);
  }

  get(vmId: string, key: string): SharedAnswer {
    const entry = this.#data.get(keyOf(vmId, key));
    return entry === undefined ? notFound : { status: status.ok, bytes: entry.value, number: entry.cas };
  }

  /**
   * Stores a value. If `cas` is 0, it overwrites an existing value. Otherwise the number of an existing value must
   * equal `cas`.
   */
  set(vmId: string, key: string, value: Uint8Array, cas: number): SharedAnswer {
    const place = keyOf(vmId, key);
    const before = this.#data.get(place);
    if (before !== undefined && cas !== 0 && cas !== before.cas) return { status: status.casMismatch };
    const size = value.length - (before === undefined ? -place.length - entryBytes : before.value.length);
    if (!this.#bytes.add(size)) return full;
    this.#nextCas = (this.#nextCas % 0xffff_fffe) + 1;
    this.#data.set(place, { value, cas: this.#nextCas });
    return { status: status.ok };
  }

  registerQueue(vmId: string, name: string, ready: (queue: number) => void): SharedAnswer {
    const place = keyOf(vmId, name);
    let id = this.#queueIds.get(place);
    if (id === undefined) {
      if (!this.#queueShare.add(1)) return full;
      id = this.#queues.size + 1;
      this.#queueIds.set(place, id);
      this.#queues.set(id, { items: [], ready });
    }
    const queue = this.#queues.get(id);
    if (queue !== undefined) queue.ready = ready;
    return { status: status.ok, number: id };
  }

  resolveQueue(vmId: string, name: string): SharedAnswer {
    const id = this.#queueIds.get(keyOf(vmId, name));
    return id === undefined ? notFound : { status: status.ok, number: id };
  }

  enqueue(id: number, value: Uint8Array): SharedAnswer {
    const queue = this.#queues.get(id);
    if (queue === undefined) return notFound;
    if (queue.items.length >= maxQueuedItems || !this.#bytes.add(entryBytes + value.length)) return full;
    queue.items.push(value);
    queue.ready(id);
    return { status: status.ok };
  }

  dequeue(id: number): SharedAnswer {
    const queue = this.#queues.get(id);
    if (queue === undefined) return notFound;
    const item = queue.items.shift();
    if (item === undefined) return { status: status.empty };
    this.#bytes.add(-entryBytes - item.length);
    return { status: status.ok, bytes: item };
  }

  defineMetric(type: number, name: string): SharedAnswer {
    const place = `${type} ${name}`;
    let metric = this.#metrics.get(place);
    if (metric === undefined) {
      if (!this.#metricShare.add(1)) return full;
      this.#nextMetric += 1;
      metric = { id: this.#nextMetric * 4 + type, type, name, value: 0n, count: 0n };
      this.#metrics.set(place, metric);
      this.#metricsById.set(metric.id, metric);
    }
    return { status: status.ok, number: metric.id };
  }

  getMetric(id: number): SharedAnswer {
    const metric = this.#metricsById.get(id);
    if (metric === undefined) return notFound;
    return metric.type === metricTypes.histogram
      ? { status: status.badArgument }
      : { status: status.ok, long: metric.value };
  }

  changeMetric(id: number, operation: "add" | "set" | "record", value: bigint): void {
    const metric = this.#metricsById.get(id);
    if (metric === undefined) return;
    metric.value = operation === "set" ? value : metric.value + value;
    if (metric.type === metricTypes.gauge && metric.value < 0n) metric.value = 0n;
    metric.count += 1n;
  }

  metric(id: number): ModuleMetric | undefined {
    return this.#metricsById.get(id);
  }

  metrics(): Iterable<ModuleMetric> {
    return this.#metrics.values();
  }
}

function keyOf(vmId: string, key: string): string {
  return `${vmId.length} ${vmId}${key}`;
}
