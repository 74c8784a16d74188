import {
  TokenBucket,
  TokenFlow,
  type BucketSize,
  type SharedBuckets,
  type TokenLevel,
  type Tokens,
} from "../filters/tokens.ts";
import type { JointLimits } from "../joint-limits.ts";
import {
  breakerResources,
  Budget,
  CircuitBreaker,
  type BreakerLimits,
  type BreakerResource,
} from "../upstream/circuit-breaker.ts";
import type { Ejection } from "../upstream/cluster.ts";
import { SharedTable } from "./shared-table.ts";

/** The maximum number of clusters whose limits apply to all workers together. Beyond it, they apply to each worker. */
const maxClusters = 16_384;
/** The maximum number of rate limits that apply to all workers together. Beyond it, they apply to each worker. */
const maxBuckets = 8192;
/**
 * The number of cells in a cache line of 64 bytes. Each thread writes to its own line, so that threads do not slow each
 * other down.
 */
const lineCells = 16;

export interface LimitsMemory {
  readonly workers: number;
  /** When the memory was allocated, on the clock {@link commonMs}. */
  readonly sinceMs: number;
  readonly breakers: SharedArrayBuffer;
  readonly buckets: SharedArrayBuffer;
}

export function limitsMemory(workers: number): LimitsMemory {
  return {
    workers,
    sinceMs: commonMs(),
    breakers: SharedTable.memory(maxClusters, workers * lineCells),
    buckets: SharedTable.memory(maxBuckets, lineCells),
  };
}

/** A monotonic time in milliseconds that is the same in every thread, unlike `performance.now()`. */
function commonMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Clears the counts of a worker that has ended. */
export function releaseWorker({ workers, breakers }: LimitsMemory, worker: number): void {
  const table = new SharedTable(breakers, workers * lineCells);
  for (const first of table.all())
    for (let cell = 0; cell < breakerResources.length; cell += 1)
      Atomics.store(table.cells, first + worker * lineCells + cell, 0);
}

export interface WorkerLimitsOptions {
  readonly memory: LimitsMemory;
  readonly worker: number;
  /** A clock that is the same in all workers. Absent means {@link commonMs}. */
  readonly nowMs?: () => number;
  readonly ejected: (ejection: Ejection) => void;
}

export class WorkerLimits implements JointLimits {
  readonly #options: WorkerLimitsOptions;
  readonly #breakers: SharedTable;
  readonly #buckets: SharedTable;
  readonly buckets: SharedBuckets;
  #resource = "";
  #made = 0;

  constructor(options: WorkerLimitsOptions) {
    const { memory } = options;
    this.#options = options;
    this.#breakers = new SharedTable(memory.breakers, memory.workers * lineCells);
    this.#buckets = new SharedTable(memory.buckets, lineCells);
    this.buckets = {
      begin: (resource) => {
        this.#resource = resource;
        this.#made = 0;
      },
      make: (size) => this.#bucket(size),
    };
  }

  ejected(ejection: Ejection): void {
    this.#options.ejected(ejection);
  }

  /**
   * Returns the circuit breaker of a cluster. If the table is full, the cluster's limits apply to each worker
   * separately.
   */
  breaker(cluster: string, limits: BreakerLimits): CircuitBreaker {
    const first = this.#breakers.find(cluster);
    if (first === undefined) return new CircuitBreaker(limits);
    const { cells } = this.#breakers;
    const { memory, worker } = this.#options;
    const budget = (resource: BreakerResource, limit: () => number): Budget =>
      new JointBudget(limit, {
        cells,
        first: first + breakerResources.indexOf(resource),
        workers: memory.workers,
        worker,
      });
    return new CircuitBreaker(limits, budget);
  }

  #bucket(size: BucketSize): Tokens {
    const { memory, nowMs = commonMs } = this.#options;
    const sinceMs = (): number => nowMs() - memory.sinceMs;
    this.#made += 1;
    const { max, perFill, fillIntervalMs } = size;
    const at = this.#buckets.find(`${this.#resource} ${this.#made} ${max} ${perFill} ${fillIntervalMs}`);
    return at === undefined
      ? new TokenBucket({ ...size, clock: { steadyMs: sinceMs } })
      : new SharedTokenBucket(new TokenFlow(size), new SharedTime(this.#buckets.cells, at), sinceMs);
  }
}

interface BudgetCells {
  readonly cells: Int32Array;
  /** The cell of the first worker. The cells of the others follow, each in its own cache line. */
  readonly first: number;
  readonly workers: number;
  readonly worker: number;
}

/**
 * A budget whose limit applies to the sum of all workers' counts. Each worker has its own count, which is cleared when
 * the worker ends.
 */
class JointBudget extends Budget {
  readonly #cells: Int32Array;
  readonly #first: number;
  readonly #end: number;
  readonly #own: number;

  constructor(limit: () => number, { cells, first, workers, worker }: BudgetCells) {
    super(limit);
    this.#cells = cells;
    this.#first = first;
    this.#end = first + workers * lineCells;
    this.#own = first + worker * lineCells;
  }

  override get open(): number {
    let open = 0;
    for (let at = this.#first; at < this.#end; at += lineCells) open += Atomics.load(this.#cells, at);
    return open;
  }

  override take(): boolean {
    if (!super.take()) return false;
    Atomics.add(this.#cells, this.#own, 1);
    return true;
  }

  override force(): void {
    super.force();
    Atomics.add(this.#cells, this.#own, 1);
  }

  override give(): void {
    super.give();
    Atomics.sub(this.#cells, this.#own, 1);
  }
}

/** A point in time, in two cells that all threads may change. Cells that were never set stand for a time long ago. */
class SharedTime {
  readonly #bits: BigInt64Array;
  readonly #scratch = new Float64Array(1);
  readonly #scratchBits = new BigInt64Array(this.#scratch.buffer);

  constructor({ buffer, byteOffset, BYTES_PER_ELEMENT }: Int32Array, at: number) {
    this.#bits = new BigInt64Array(buffer, byteOffset + at * BYTES_PER_ELEMENT, 1);
  }

  get ms(): number {
    const bits = Atomics.load(this.#bits, 0);
    if (bits === 0n) return -Infinity;
    this.#scratchBits[0] = bits;
    return this.#scratch[0] ?? 0;
  }

  /** Changes the time from one value to another. Returns false if another thread has changed it first. */
  change(beforeMs: number, afterMs: number): boolean {
    const before = beforeMs === -Infinity ? 0n : this.#bitsOf(beforeMs);
    // Avoid the bits of the time 0, which equal those of cells that were never set.
    const after = this.#bitsOf(afterMs === 0 ? Number.MIN_VALUE : afterMs);
    return Atomics.compareExchange(this.#bits, 0, before, after) === before;
  }

  #bitsOf(ms: number): bigint {
    this.#scratch[0] = ms;
    return this.#scratchBits[0] ?? 0n;
  }
}

/**
 * A token bucket that all threads share. It counts time from a moment that all threads share, and not from its
 * creation.
 */
class SharedTokenBucket implements Tokens {
  readonly #flow: TokenFlow;
  readonly #empty: SharedTime;
  readonly #sinceMs: () => number;

  constructor(flow: TokenFlow, empty: SharedTime, sinceMs: () => number) {
    this.#flow = flow;
    this.#empty = empty;
    this.#sinceMs = sinceMs;
  }

  take(count = 1): boolean {
    for (;;) {
      const emptyMs = this.#empty.ms;
      const nextMs = this.#flow.take(emptyMs, this.#sinceMs(), count);
      if (nextMs === undefined) return false;
      if (this.#empty.change(emptyMs, nextMs)) return true;
    }
  }

  give(count: number): void {
    for (;;) {
      const emptyMs = this.#empty.ms;
      if (this.#empty.change(emptyMs, this.#flow.give(emptyMs, this.#sinceMs(), count))) return;
    }
  }

  level(): TokenLevel {
    return this.#flow.level(this.#empty.ms, this.#sinceMs());
  }
}
