import { JoinedBytes } from "../joined-bytes/index.ts";

/** A review is no larger than this: objects have up to 3 MiB, and an update contains two of them. */
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
 * A limit that callers share: each may use half of what the others leave. So a caller that takes as much as it can and
 * keeps it gets at most half, and the next such caller half of the rest.
 */
export class SharedBudget {
  readonly #max: number;
  readonly #heldBy = new Map<string, number>();
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Returns false, and takes nothing, if that is more than the caller's part. Others may have taken memory since, so a
   * caller may hold more than its part. It may still keep that, and a size below zero releases.
   */
  take(caller: string, size: number): boolean {
    if (size <= 0) {
      if (size < 0) this.#hold(caller, size);
      return true;
    }
    const own = (this.#heldBy.get(caller) ?? 0) + size;
    if (own > this.#max - this.#held - size) return false;
    this.#hold(caller, size);
    return true;
  }

  release(caller: string, size: number): void {
    this.#hold(caller, -size);
  }

  #hold(caller: string, size: number): void {
    this.#held += size;
    const own = (this.#heldBy.get(caller) ?? 0) + size;
    if (own === 0) this.#heldBy.delete(caller);
    else this.#heldBy.set(caller, own);
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
    let held = 0;
    try {
      for await (const chunk of parts) {
        if (held + chunk.length > this.#maxBytes) throw this.#refusals.tooLarge(this.#maxBytes);
        if (!this.#held.take(caller, chunk.length)) throw this.#refusals.busy();
        held += chunk.length;
        body.add(chunk);
      }
      return await work(body.take());
    } finally {
      this.#held.release(caller, held);
    }
  }
}
