import type { ServerResponse } from "node:http";
import { Socket } from "node:net";

/** The bytes of answers that clients of one server have not read yet. */
const defaultMaxBytes = 64 << 20;
/** A client that reads nothing of its answer for this time is disconnected. */
const readMs = 120_000;

/**
 * Limits the memory of answers that nobody reads. Above the limit, the address with the most unread bytes loses
 * connections.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #open = new Map<Socket, string>();

  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Counts the answer from the moment when the server has written it. */
  watch(socket: Socket, response: ServerResponse, address: string): void {
    // A connection inside of TLS of our own is a plain stream, whose server has few connections.
    if (socket instanceof Socket) response.setTimeout(readMs, () => socket.destroy());
    response.once("prefinish", () => {
      if (socket.writableLength === 0) return;
      if (!this.#open.has(socket)) socket.once("close", () => this.#open.delete(socket));
      this.#open.set(socket, address);
      this.#bound();
    });
    response.once("finish", () => {
      if (socket.writableLength === 0) this.#open.delete(socket);
    });
  }

  #bound(): void {
    let total = 0;
    for (const { writableLength } of this.#open.keys()) total += writableLength;
    while (total > this.#maxBytes) {
      const byAddress = Map.groupBy(this.#open, ([, address]) => address);
      let largest: readonly Socket[] = [];
      let most = 0;
      for (const entries of byAddress.values()) {
        const bytes = entries.reduce((sum, [socket]) => sum + socket.writableLength, 0);
        if (bytes > most) [largest, most] = [entries.map(([socket]) => socket), bytes];
      }
      const [oldest] = largest;
      if (oldest === undefined) return;
      total -= oldest.writableLength;
      this.#open.delete(oldest);
      oldest.destroy();
    }
  }
}
