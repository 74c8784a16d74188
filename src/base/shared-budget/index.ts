// Limits for memory that the callers of a server share, so that no caller can take all of it.
import { JoinedBytes } from "../joined-bytes/index.ts";

/**
 * The maximum size of an admission review. Objects have up to 3 MiB, and the review of an update contains two of them.
 */
const reviewBytes = 8 << 20;
/** The maximum total size of the reviews that are being read or processed. */
const heldReviewBytes = 64 << 20;

export interface BodyRefusals {
  readonly tooLarge: (maxBytes: number) => Error;
  readonly busy: () => Error;
}

export interface BodyLimits {
  readonly maxBytes: number;
  readonly maxHeldBytes: number;
}

/**
 * A limit that callers share. A caller may hold as much as it leaves free, which is half of what the others leave. A
 * greedy caller thus gets at most half of the limit, the next one half of the rest, and so on.
 */
export class SharedBudget {
  readonly #max: number;
  readonly #heldBy = new Map<string, number>();
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * A share of what the caller may hold, empty at the beginning. A caller may have several shares, for example one for
   * each stream.
   */
  share(caller: string): BudgetShare {
    return new BudgetShare((size) => this.#take(caller, size));
  }

  #take(caller: string, size: number): boolean {
    const own = (this.#heldBy.get(caller) ?? 0) + size;
    if (size > 0 && own > this.#max - this.#held - size) return false;
    this.#held += size;
    if (own === 0) this.#heldBy.delete(caller);
    else this.#heldBy.set(caller, own);
    return true;
  }
}

export class BudgetShare {
  readonly #take: (size: number) => boolean;
  #size = 0;

  constructor(take: (size: number) => boolean) {
    this.#take = take;
  }

  /**
   * Changes the size of the share. Returns false and changes nothing if the share would grow beyond what its caller may
   * hold. That shrinks when others take memory. A caller that already holds more keeps it. A share may always shrink.
   */
  set(size: number): boolean {
    if (!this.#take(size - this.#size)) return false;
    this.#size = size;
    return true;
  }

  add(size: number): boolean {
    return this.set(this.#size + size);
  }
}

/**
 * Limits the size of each body, and of all bodies that a process holds, where callers share the second limit. The
 * defaults are for admission reviews.
 */
export class BodyBudget {
  readonly #refusals: BodyRefusals;
  readonly #maxBytes: number;
  readonly #held: SharedBudget;

  constructor(
    refusals: BodyRefusals,
    { maxBytes, maxHeldBytes }: BodyLimits = { maxBytes: reviewBytes, maxHeldBytes: heldReviewBytes },
  ) {
    this.#refusals = refusals;
    this.#maxBytes = maxBytes;
    this.#held = new SharedBudget(maxHeldBytes);
  }

  /**
   * Reads a body and passes it to `work`. The body counts until `work` has ended. Rejects with one of the refusals if
   * the body is too large, or if there is no room for it.
   */
  async use<Result>(
    parts: AsyncIterable<Buffer>,
    caller: string,
    work: (body: Buffer) => Promise<Result>,
  ): Promise<Result> {
    const body = new JoinedBytes();
    const share = this.#held.share(caller);
    let bytes = 0;
    try {
      for await (const chunk of parts) {
        bytes += chunk.length;
        if (bytes > this.#maxBytes) throw this.#refusals.tooLarge(this.#maxBytes);
        if (!share.set(bytes)) throw this.#refusals.busy();
        body.add(chunk);
      }
      return await work(body.take());
    } finally {
      share.set(0);
    }
  }
}
