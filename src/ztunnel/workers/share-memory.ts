import type { AcceptedKind } from "../proxy/connection-share.ts";

const cellOf = { alive: 0, open: 1, outbound: 2, "inbound-plaintext": 3, "inbound-hbone": 4 } as const;
const cellsEach = 5;
const cellBytes = 4;

/**
 * Up to this difference in load between workers, a connection stays with its worker, because a move would cost more
 * than it gains.
 */
const minSlack = 3;
const slackShare = 0.05;

/** The load of each worker, in memory that all threads share. */
export class ShareMemory {
  readonly #cells: Int32Array;
  readonly #count: number;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
    this.#count = this.#cells.length / cellsEach;
  }

  static memory(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * cellsEach * cellBytes);
  }

  /** Marks the worker as serving. */
  begin(worker: number): void {
    this.#set(worker, "alive", 1);
  }

  /** Clears the worker's counts, because it has ended together with its connections. */
  clear(worker: number): void {
    for (const name of Object.keys(cellOf) as (keyof typeof cellOf)[]) this.#set(worker, name, 0);
  }

  setOpen(worker: number, open: number): void {
    this.#set(worker, "open", open);
  }

  /** The number of live connections of all workers. */
  open(): number {
    let sum = 0;
    for (let worker = 0; worker < this.#count; worker += 1) sum += this.#get(worker, "open");
    return sum;
  }

  add(worker: number, kind: AcceptedKind, by: 1 | -1): void {
    Atomics.add(this.#cells, worker * cellsEach + cellOf[kind], by);
  }

  /** The number of connections that a worker serves. */
  served(worker: number, kind: AcceptedKind): number {
    return this.#get(worker, kind);
  }

  /**
   * Chooses another worker for a connection that this worker accepted. If the result is undefined, this worker keeps
   * it. A tunnel connection carries many streams, so a worker may have at most one more of these than another.
   */
  better(worker: number, kind: AcceptedKind): number | undefined {
    const own = this.#get(worker, kind);
    let least = worker;
    let leastCount = own;
    let sum = 0;
    for (let other = 0; other < this.#count; other += 1) {
      const count = this.#get(other, kind);
      sum += count;
      if (count >= leastCount || this.#get(other, "alive") === 0) continue;
      least = other;
      leastCount = count;
    }
    const slack = kind === "inbound-hbone" ? 1 : Math.max(minSlack, Math.ceil(sum * slackShare));
    return own - leastCount >= slack ? least : undefined;
  }

  #get(worker: number, name: keyof typeof cellOf): number {
    return Atomics.load(this.#cells, worker * cellsEach + cellOf[name]);
  }

  #set(worker: number, name: keyof typeof cellOf, value: number): void {
    Atomics.store(this.#cells, worker * cellsEach + cellOf[name], value);
  }
}
