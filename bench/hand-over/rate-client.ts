import type { Counts, Failure, Order, Target } from "./clients.ts";

/**
 * A connection that has not ended after this time has failed. The kernel repeats a lost SYN after 1, 3 and 7 seconds.
 */
const timeoutMs = 15_000;
const tickMs = 1;
/** The longest delay that a client makes up for. After a longer one, it does not reach its rate. */
const mostLateMs = 1000;
/** If a client has at most this many open connections, it has caught up after a slow moment of the program. */
const fewOpen = 50;

/**
 * Opens a connection, and calls `done` once: with the failure, or with nothing after a clean end. Returns a function
 * that closes the connection early and prevents the call of `done`.
 */
export type Exchange = (target: Target, address: string, done: (failure: Failure | undefined) => void) => () => void;

interface Connection {
  readonly startedMs: number;
  giveUp: () => void;
}

/** Begins exchanges at a constant rate, or as many as the peer serves, and counts how they end. */
export class RateClient {
  readonly #exchange: Exchange;
  /** The open connections in the order of their start. */
  readonly #open = new Set<Connection>();
  #target: Target = { addresses: [], port: 0, messageBytes: 0 };
  #perSecond = 0;
  #most = 0;
  /** The number of connections that should have begun by now, but have not. */
  #owed = 0;
  #tickedMs = performance.now();
  #turn = 0;
  #counts = noCounts();
  #onIdle: (() => void) | undefined;
  #catchingUp: { readonly untilMs: number; readonly resolve: () => void } | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    setInterval(() => this.#tick(), tickMs);
  }

  async perform(order: Order): Promise<Counts> {
    if (order.order === "target") {
      this.#target = order.target;
      return noCounts();
    }
    if (order.order === "rate") {
      this.#perSecond = order.perSecond ?? Infinity;
      this.#most = order.most;
      this.#owed = 0;
      return noCounts();
    }
    if (order.order === "catch up") {
      const untilMs = performance.now() + order.limitMs;
      await new Promise<void>((resolve) => (this.#catchingUp = { untilMs, resolve }));
      return noCounts();
    }
    if (order.order === "finish") {
      this.#perSecond = 0;
      this.#owed = 0;
      if (this.#open.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    }
    const counts = this.#counts;
    this.#counts = noCounts();
    return counts;
  }

  #tick(): void {
    const nowMs = performance.now();
    const mostOwed = (this.#perSecond * mostLateMs) / 1000;
    this.#owed = Math.min(this.#owed + (this.#perSecond * (nowMs - this.#tickedMs)) / 1000, mostOwed);
    this.#tickedMs = nowMs;
    this.#startOwed();
    this.#lookWhetherCaughtUp(nowMs);
    for (const connection of this.#open) {
      if (nowMs - connection.startedMs < timeoutMs) break;
      connection.giveUp();
      this.#ended(connection, "timed out");
    }
  }

  #lookWhetherCaughtUp(nowMs: number): void {
    if (this.#catchingUp === undefined) return;
    const { untilMs, resolve } = this.#catchingUp;
    const caughtUp = this.#owed < 1 && this.#open.size <= fewOpen;
    if (!caughtUp && nowMs < untilMs) return;
    this.#catchingUp = undefined;
    resolve();
  }

  #startOwed(): void {
    while (this.#owed >= 1 && this.#open.size < this.#most) {
      this.#owed -= 1;
      this.#start();
    }
  }

  #start(): void {
    const { addresses } = this.#target;
    this.#turn = (this.#turn + 1) % addresses.length;
    const connection: Connection = { startedMs: performance.now(), giveUp: () => undefined };
    this.#open.add(connection);
    connection.giveUp = this.#exchange(this.#target, addresses[this.#turn] ?? "", (failure) => {
      this.#ended(connection, failure);
    });
  }

  #ended(connection: Connection, failure: Failure | undefined): void {
    this.#open.delete(connection);
    const counts = this.#counts;
    if (failure === undefined) counts.served += 1;
    else counts.failed[failure] = (counts.failed[failure] ?? 0) + 1;
    counts.longestMs = Math.max(counts.longestMs, performance.now() - connection.startedMs);
    if (this.#open.size === 0) this.#onIdle?.();
    // The next connection takes the place of this one. After a failure, it waits for a tick, because an exchange may
    // fail at once, and the calls would fill the stack.
    if (failure === undefined) this.#startOwed();
  }
}

function noCounts(): Counts {
  return { served: 0, failed: {}, longestMs: 0 };
}
