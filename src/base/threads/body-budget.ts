import { CallersMemory } from "../callers-memory/index.ts";
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
 * Limits the size of each request body, and the memory for all bodies of a server together, which its callers share.
 */
export class BodyBudget {
  readonly #refusals: BodyRefusals;
  readonly #memory = new CallersMemory(maxHeldBytes);

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
        this.#memory.add(caller, chunk.length);
        if (held > maxBodyBytes) throw this.#refusals.tooLarge(maxBodyBytes);
        if (this.#memory.isExceededBy(caller)) throw this.#refusals.busy();
        body.add(chunk);
      }
      return await work(body.view());
    } finally {
      this.#memory.add(caller, -held);
    }
  }
}
