import type { Clock } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

/** The maximum number of waiting connections of one listener. Each holds the bytes that its peer has sent. */
const maxWaiting = 1024;
/** The maximum number of waiting connections from the same address. */
const maxWaitingOfPeer = 32;

/**
 * Connections to an internal listener that match no filter chain yet. They wait, because a client may learn of a new
 * service earlier than this proxy.
 */
export class ChainWaiters {
  readonly #clock: Clock;
  /** The address of the client of each waiting connection, by the function that looks for a chain again. */
  readonly #waiting = new Map<() => void, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Waits until `choose` finds a chain. Returns undefined if that takes longer than the limit, or if too many
   * connections wait. Also returns undefined if the paused stream closes or ends: the chain would not learn of an end
   * that came before it.
   */
  async wait<Chain>(
    stream: ByteStream,
    peer: string,
    limitMs: number,
    choose: () => Chain | undefined,
  ): Promise<Chain | undefined> {
    let ofPeer = 0;
    for (const other of this.#waiting.values()) if (other === peer) ofPeer += 1;
    if (this.#waiting.size >= maxWaiting || ofPeer >= maxWaitingOfPeer) return undefined;
    const { promise, resolve } = Promise.withResolvers<Chain | undefined>();
    const look = (): void => {
      const chain = choose();
      if (chain !== undefined) resolve(chain);
    };
    using _limit = this.#clock.after(limitMs, () => resolve(undefined));
    this.#waiting.set(look, peer);
    const giveUp = (): void => resolve(undefined);
    stream.setHandler({ data: () => undefined, end: giveUp, drain: () => undefined, close: giveUp });
    try {
      return await promise;
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** Looks for chains again, because the listener has changed. */
  look(): void {
    for (const look of this.#waiting.keys()) look();
  }
}
