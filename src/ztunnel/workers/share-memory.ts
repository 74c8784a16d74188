import type { AcceptedKind } from "../proxy/connection-share.ts";

const cellOf = { alive: 0, open: 1, outbound: 2, "inbound-plaintext": 3, "inbound-hbone": 4 } as const;
const cellsEach = 5;
const cellBytes = 4;

/** Where a connection of few bytes may stay although another worker has fewer: to move it costs more than it is worth. */
const minSlack = 3;
const slackShare = 0.05;

/** What each worker serves, in memory that all threads see. */
export class ShareMemory {
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  static memory(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * cellsEach * cellBytes);
  }

  /** The worker takes connections. */
  begin(worker: number): void {
    this.#set(worker, "alive", 1);
  }

  /** The worker has ended, and its connections with it. */
  clear(worker: number): void {
    for (const name of Object.keys(cellOf) as (keyof typeof cellOf)[]) this.#set(worker, name, 0);
  }

  setOpen(worker: number, open: number): void {
    this.#set(worker, "open", open);
  }

  /** Live connections of all workers. */
  open(): number {
    return this.#workers().reduce((sum, worker) => sum + this.#get(worker, "open"), 0);
  }

  add(worker: number, kind: AcceptedKind, by: 1 | -1): void {
    Atomics.add(this.#cells, worker * cellsEach + cellOf[kind], by);
  }

  /**
   * Another worker that should serve a connection which this worker has accepted. Undefined: this one should. A tunnel's
   * connection carries many others, so of these no worker has two more than another.
   */
  better(worker: number, kind: AcceptedKind): number | undefined {
    const own = this.#get(worker, kind);
    let least = worker;
    let leastCount = own;
    let sum = 0;
    for (const other of this.#workers()) {
      const count = this.#get(other, kind);
      sum += count;
      if (count >= leastCount || this.#get(other, "alive") === 0) continue;
      least = other;
      leastCount = count;
    }
    const slack = kind === "inbound-hbone" ? 1 : Math.max(minSlack, Math.ceil(sum * slackShare));
    return own - leastCount >= slack ? least : undefined;
  }

  #workers(): number[] {
    return Array.from({ length: this.#cells.length / cellsEach }, (_, worker) => worker);
  }

  #get(worker: number, name: keyof typeof cellOf): number {
    return Atomics.load(this.#cells, worker * cellsEach + cellOf[name]);
  }

  #set(worker: number, name: keyof typeof cellOf, value: number): void {
    Atomics.store(this.#cells, worker * cellsEach + cellOf[name], value);
  }
}
