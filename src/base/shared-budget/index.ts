// Memory that the callers of a server share, so that none of them can take all of it.
import { JoinedBytes } from "../joined-bytes/index.ts";

/** The maximum size of a review. Objects have up to 3 MiB, and an update contains two of them. */
const reviewBytes = 8 << 20;
/** The maximum total size of the reviews that are read or waiting. */
const heldReviewBytes = 64 << 20;

/** The errors of a server for bodies that it does not accept. */
export interface BodyRefusals {
  readonly tooLarge: (maxBytes: number) => Error;
  readonly busy: () => Error;
}

export interface BodyLimits {
  /** The limit of one body. */
  readonly maxBytes: number;
  /** The limit of all bodies together. */
  readonly maxHeldBytes: number;
}

/**
 * A limit that callers share: each may use half of what the others leave. A caller that takes as much as it can gets at
 * most half of the limit, and the next such caller half of the rest.
 */
export class SharedBudget {
  readonly #max: number;
  readonly #heldBy = new Map<string, number>();
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** A share of the caller's part, which is empty at first. A caller may have several, such as one for each stream. */
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

/** What one holder has of its caller's part of a {@link SharedBudget}. */
export class BudgetShare {
  readonly #take: (size: number) => boolean;
  #size = 0;

  constructor(take: (size: number) => boolean) {
    this.#take = take;
  }

  /**
   * Changes the size of the share. Returns false, and changes nothing, if the share would grow beyond what the caller
   * may have. A caller's limit shrinks when others take memory. A caller that already holds more than its limit keeps
   * what it holds. A share may always shrink.
   */
  set(size: number): boolean {
    if (!this.#take(size - this.#size)) return false;
    this.#size = size;
    return true;
  }

  /** Changes the size of the share by some bytes, under the rules of {@link set}. */
  add(size: number): boolean {
    return this.set(this.#size + size);
  }
}

/**
 * Limits the size of each body, and the memory for all bodies of a process together, which callers share. The limits
 * are those of reviews, unless others are given.
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

  /** Reads a body and passes it to `work`. The body counts until `work` has ended. Rejects with one of the refusals. */
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
