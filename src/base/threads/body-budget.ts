import { JoinedBytes } from "../joined-bytes/index.ts";

/** A review is no larger than this: objects have up to 3 MiB, and an update contains two of them. */
const maxBodyBytes = 8 << 20;
/** The maximum total size of the bodies that are read or waiting. */
const maxHeldBytes = 64 << 20;

/** The errors of a server for bodies that it does not accept. */
export interface BodyRefusals {
  readonly tooLarge: (maxBytes: number) => Error;
  readonly busy: () => Error;
}

/**
 * Limits the size of each request body, and the memory for all bodies of a server together. A caller may use half of
 * the memory that the others leave. So a caller that sends bodies and never ends them takes at most half, and the next
 * such caller half of the rest.
 */
export class BodyBudget {
  readonly #refusals: BodyRefusals;
  readonly #heldBy = new Map<string, number>();
  #heldBytes = 0;

  constructor(refusals: BodyRefusals) {
    this.#refusals = refusals;
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
        held += chunk.length;
        this.#hold(caller, chunk.length);
        if (held > maxBodyBytes) throw this.#refusals.tooLarge(maxBodyBytes);
        const own = this.#heldBy.get(caller) ?? 0;
        if (own > maxHeldBytes - this.#heldBytes) throw this.#refusals.busy();
        body.add(chunk);
      }
      return await work(body.view());
    } finally {
      this.#hold(caller, -held);
    }
  }

  #hold(caller: string, bytes: number): void {
    this.#heldBytes += bytes;
    const own = (this.#heldBy.get(caller) ?? 0) + bytes;
    if (own === 0) this.#heldBy.delete(caller);
    else this.#heldBy.set(caller, own);
  }
}
