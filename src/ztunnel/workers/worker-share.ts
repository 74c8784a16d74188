import type { Clock } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";
import type { AcceptedKind, ConnectionShare } from "../proxy/connection-share.ts";
import type { ShareMemory } from "./share-memory.ts";
import type { OfferedConnection, ProcessCalls } from "./worker-calls.ts";

type Offer = (offer: Parameters<ProcessCalls["offer"]>[0]) => Promise<boolean>;

const turnoverWindowMs = 1000;
/** The time without an answer after which a worker counts as stuck, for example in a long update of the mesh. */
const slowAnswerMs = 1000;

/** The offers to one worker that are not answered yet. */
interface OpenOffers {
  count: number;
  /** When the worker last answered, or when the first of these offers was made, whichever is later. */
  sinceMs: number;
}

/**
 * Decides by the load of each worker which worker serves a connection.
 *
 * A worker keeps a connection in spite of its load if its connections are short. They are short if, within about {@link
 * turnoverWindowMs}, the worker has ended as many connections of that kind as it serves now, and each of them was
 * younger than this time. The difference between the workers then vanishes by itself, and moving the connection would
 * cost more than serving it. Older connections that end together do not count, because their replacements may live long
 * too.
 *
 * This rule does not apply to HBONE connections: one of them lives for hours and carries many streams. A worker also
 * keeps connections while the other worker does not answer, because an offered connection waits for the answer.
 */
export class WorkerShare implements ConnectionShare {
  readonly #memory: ShareMemory;
  readonly #worker: number;
  readonly #offer: Offer;
  readonly #clock: Pick<Clock, "steadyMs">;
  readonly #shortEnds: Readonly<Record<AcceptedKind, RecentEnds | undefined>>;
  readonly #openOffers = new Map<number, OpenOffers>();

  constructor(memory: ShareMemory, worker: number, offer: Offer, clock: Pick<Clock, "steadyMs">) {
    this.#memory = memory;
    this.#worker = worker;
    this.#offer = offer;
    this.#clock = clock;
    this.#shortEnds = {
      outbound: new RecentEnds(turnoverWindowMs),
      "inbound-plaintext": new RecentEnds(turnoverWindowMs),
      "inbound-hbone": undefined,
    };
  }

  keeps(kind: AcceptedKind): boolean {
    return this.#better(kind) === undefined;
  }

  #better(kind: AcceptedKind): number | undefined {
    const to = this.#memory.better(this.#worker, kind);
    if (to === undefined || this.#isSlow(to)) return undefined;
    const shortEnds = this.#shortEnds[kind];
    if (shortEnds === undefined) return to;
    return shortEnds.count(this.#clock.steadyMs()) >= this.#memory.served(this.#worker, kind) ? undefined : to;
  }

  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined {
    const to = this.#better(kind);
    if (to === undefined) return undefined;
    const offered: OfferedConnection = { uid, kind, fd: stream.fd, remote: stream.remote };
    // Count the offer at once, so that a second connection at the same moment takes it into account.
    this.#memory.addOffer(this.#worker, to, kind, 1);
    this.#countOffer(to);
    return this.#offer({ to, offered })
      .catch(() => false)
      .finally(() => {
        this.#memory.addOffer(this.#worker, to, kind, -1);
        this.#countAnswer(to);
      });
  }

  #isSlow(worker: number): boolean {
    const open = this.#openOffers.get(worker);
    return open !== undefined && open.count > 0 && this.#clock.steadyMs() - open.sinceMs > slowAnswerMs;
  }

  #countOffer(to: number): void {
    const open = this.#openOffers.get(to) ?? { count: 0, sinceMs: 0 };
    if (open.count === 0) open.sinceMs = this.#clock.steadyMs();
    open.count += 1;
    this.#openOffers.set(to, open);
  }

  #countAnswer(from: number): void {
    const open = this.#openOffers.get(from);
    if (open === undefined) return;
    open.count -= 1;
    open.sinceMs = this.#clock.steadyMs();
  }

  serve(kind: AcceptedKind): Disposable {
    this.#memory.add(this.#worker, kind, 1);
    const startMs = this.#clock.steadyMs();
    let served = true;
    return {
      [Symbol.dispose]: () => {
        if (!served) return;
        served = false;
        this.#memory.add(this.#worker, kind, -1);
        const nowMs = this.#clock.steadyMs();
        if (nowMs - startMs < turnoverWindowMs) this.#shortEnds[kind]?.add(nowMs);
      },
    };
  }
}

/**
 * Counts the connections that ended in the last full window of time, or in the present window if that number is higher
 * already.
 */
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
