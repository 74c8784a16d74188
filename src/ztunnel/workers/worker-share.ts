import type { Clock } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";
import type { AcceptedKind, ConnectionShare } from "../proxy/connection-share.ts";
import type { ShareMemory } from "./share-memory.ts";
import type { OfferedConnection, ProcessCalls } from "./worker-calls.ts";

type Offer = (offer: Parameters<ProcessCalls["offer"]>[0]) => Promise<boolean>;

const turnoverWindowMs = 1000;

/**
 * Decides by the load of each worker which one serves a connection. A worker keeps a connection in spite of its load if
 * its connections are so short that new ones replace all of them in less than {@link turnoverWindowMs}. Then the
 * difference between the workers vanishes by itself, and a move would cost more than the connection.
 */
export class WorkerShare implements ConnectionShare {
  readonly #memory: ShareMemory;
  readonly #worker: number;
  readonly #offer: Offer;
  readonly #clock: Pick<Clock, "steadyMs">;
  readonly #ends: Readonly<Record<AcceptedKind, RecentEnds>>;

  constructor(memory: ShareMemory, worker: number, offer: Offer, clock: Pick<Clock, "steadyMs">) {
    this.#memory = memory;
    this.#worker = worker;
    this.#offer = offer;
    this.#clock = clock;
    const windowMs = turnoverWindowMs;
    this.#ends = {
      outbound: new RecentEnds(windowMs),
      "inbound-plaintext": new RecentEnds(windowMs),
      "inbound-hbone": new RecentEnds(windowMs),
    };
  }

  keeps(kind: AcceptedKind): boolean {
    return this.#better(kind) === undefined;
  }

  #better(kind: AcceptedKind): number | undefined {
    const to = this.#memory.better(this.#worker, kind);
    if (to === undefined) return undefined;
    const ended = this.#ends[kind].count(this.#clock.steadyMs());
    return ended >= this.#memory.served(this.#worker, kind) ? undefined : to;
  }

  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined {
    const to = this.#better(kind);
    if (to === undefined) return undefined;
    const offered: OfferedConnection = { uid, kind, fd: stream.fd, remote: stream.remote };
    // Count the connection at once, so that a second one at the same moment sees it.
    this.#memory.add(to, kind, 1);
    return this.#offer({ to, offered })
      .catch(() => false)
      .finally(() => this.#memory.add(to, kind, -1));
  }

  serve(kind: AcceptedKind): Disposable {
    this.#memory.add(this.#worker, kind, 1);
    let served = true;
    return {
      [Symbol.dispose]: () => {
        if (!served) return;
        served = false;
        this.#memory.add(this.#worker, kind, -1);
        this.#ends[kind].add(this.#clock.steadyMs());
      },
    };
  }
}

/** How many connections ended in the last full window of time, or in the running one if those are more already. */
class RecentEnds {
  readonly #windowMs: number;
  #window = 0;
  #ended = 0;
  #endedBefore = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  add(nowMs: number): void {
    this.#turn(nowMs);
    this.#ended += 1;
  }

  count(nowMs: number): number {
    this.#turn(nowMs);
    return Math.max(this.#endedBefore, this.#ended);
  }

  #turn(nowMs: number): void {
    const window = Math.floor(nowMs / this.#windowMs);
    if (window === this.#window) return;
    this.#endedBefore = window === this.#window + 1 ? this.#ended : 0;
    this.#window = window;
    this.#ended = 0;
  }
}
