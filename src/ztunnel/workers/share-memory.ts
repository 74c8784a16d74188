import type { AcceptedKind } from "../proxy/connection-share.ts";

/**
 * The layout of the shared memory: one cell with the number of workers, then the cells of each worker, then the cells
 * for the offers of each worker to each worker.
 */
const headCells = 1;
const cellOf = { alive: 0, open: 1, outbound: 2, "inbound-plaintext": 3, "inbound-hbone": 4 } as const;
const cellsEach = 5;
/** The position of each kind's counter within the cells for the offers of one worker to another. */
const offerCellOf = { outbound: 0, "inbound-plaintext": 1, "inbound-hbone": 2 } as const;
const offerCellsEach = 3;
const cellBytes = 4;

/**
 * A connection stays with its worker while its load exceeds the lowest load by less than this number, or by less than
 * this share of all connections. Moving the connection would cost more than it gains.
 */
const minSlack = 3;
const slackShare = 0.05;

/** The load of each worker, in memory that all threads share. */
export class ShareMemory {
  readonly #cells: Int32Array;
  readonly #count: number;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
    this.#count = this.#cells[0] ?? 0;
  }

  static memory(workers: number): SharedArrayBuffer {
    const cells = headCells + workers * cellsEach + workers * workers * offerCellsEach;
    const memory = new SharedArrayBuffer(cells * cellBytes);
    new Int32Array(memory)[0] = workers;
    return memory;
  }

  begin(worker: number): void {
    this.#set(worker, "alive", 1);
  }

  /**
   * Clears the counts of a worker that has ended, and of the offers that it made. The offers of other workers to it
   * still count until they fail, and these workers then subtract them.
   */
  clear(worker: number): void {
    for (const name of Object.keys(cellOf) as (keyof typeof cellOf)[]) this.#set(worker, name, 0);
    const offers = this.#offersAt(worker, 0);
    this.#cells.fill(0, offers, offers + this.#count * offerCellsEach);
  }

  setOpen(worker: number, open: number): void {
    this.#set(worker, "open", open);
  }

  open(): number {
    let sum = 0;
    for (let worker = 0; worker < this.#count; worker += 1) sum += this.#get(worker, "open");
    return sum;
  }

  add(worker: number, kind: AcceptedKind, by: 1 | -1): void {
    Atomics.add(this.#cells, headCells + worker * cellsEach + cellOf[kind], by);
  }

  addOffer(from: number, to: number, kind: AcceptedKind, by: 1 | -1): void {
    Atomics.add(this.#cells, this.#offersAt(from, to) + offerCellOf[kind], by);
  }

  /** The number of connections that a worker serves or that other workers offer to it. */
  served(worker: number, kind: AcceptedKind): number {
    let sum = this.#get(worker, kind);
    for (let from = 0; from < this.#count; from += 1)
      sum += Atomics.load(this.#cells, this.#offersAt(from, worker) + offerCellOf[kind]);
    return sum;
  }

  /**
   * Chooses another worker for a connection that this worker accepted. Returns undefined if this worker should keep it.
   * A tunnel connection carries many streams, so a worker may have at most one more of these than another worker.
   */
  better(worker: number, kind: AcceptedKind): number | undefined {
    const own = this.served(worker, kind);
    let least = worker;
    let leastCount = own;
    let sum = 0;
    for (let other = 0; other < this.#count; other += 1) {
      const count = this.served(other, kind);
      sum += count;
      if (count >= leastCount || this.#get(other, "alive") === 0) continue;
      least = other;
      leastCount = count;
    }
    const slack = kind === "inbound-hbone" ? 1 : Math.max(minSlack, Math.ceil(sum * slackShare));
    return own - leastCount >= slack ? least : undefined;
  }

  #offersAt(from: number, to: number): number {
    return headCells + this.#count * cellsEach + (from * this.#count + to) * offerCellsEach;
  }

  #get(worker: number, name: keyof typeof cellOf): number {
    return Atomics.load(this.#cells, headCells + worker * cellsEach + cellOf[name]);
  }

  #set(worker: number, name: keyof typeof cellOf, value: number): void {
    Atomics.store(this.#cells, headCells + worker * cellsEach + cellOf[name], value);
  }
}
