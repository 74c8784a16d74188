// Reads bodies. Their senders choose how long they are, and in how small pieces they arrive.

import type { ClientRequest } from "node:http";

/**
 * Joins the pieces in which bytes arrive. The sender chooses the size of the pieces, and a list of one-byte pieces
 * would take 370 times as much memory as the bytes themselves.
 */
export class JoinedBytes {
  #memory = Buffer.alloc(0);
  length = 0;

  add(piece: Uint8Array): void {
    const needed = this.length + piece.length;
    if (needed > this.#memory.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#memory.length));
      this.view().copy(grown);
      this.#memory = grown;
    }
    this.#memory.set(piece, this.length);
    this.length = needed;
  }

  view(): Buffer {
    return this.#memory.subarray(0, this.length);
  }

  /** Returns the bytes so far, and starts again without any. */
  take(): Buffer {
    const taken = this.view();
    this.#memory = Buffer.alloc(0);
    this.length = 0;
    return taken;
  }
}

/** Reads a body to its end. Rejects with the error of `tooLong` if it has more than `maxBytes`. */
export async function readBytes(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<Buffer> {
  const joined = new JoinedBytes();
  for await (const piece of pieces) {
    if (joined.length + piece.length > maxBytes) throw tooLong();
    joined.add(piece);
  }
  return joined.view();
}

const maxInterimResponses = 100;

/**
 * Ends a request with an error if its server sends interim responses (1xx) without end, or switches to another protocol
 * (101). Every request that does not ask for another protocol needs this: Node reports neither such a switch nor a
 * later abort, so the caller would wait forever.
 */
export function requireFinalResponse(request: ClientRequest): ClientRequest {
  return limitInterimResponses(request).on("upgrade", (_response, socket) => {
    socket.destroy();
    // Report the error here. Node considers the request as over after a switch, so `destroy` would not report it.
    request.emit("error", new Error("the server switched to another protocol, which the request did not ask for"));
  });
}

/**
 * Ends a request with an error if its server sends interim responses (1xx) without end. Node drops them as they arrive,
 * so no other limit of the request covers them.
 */
export function limitInterimResponses(request: ClientRequest): ClientRequest {
  let count = 0;
  return request.on("information", () => {
    count += 1;
    if (count > maxInterimResponses)
      request.destroy(new Error(`the server sent more than ${maxInterimResponses} interim responses`));
  });
}
