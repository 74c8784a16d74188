import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";

/** The default limit for the bytes of answers that a server's clients have not read. */
const defaultMaxBytes = 64 << 20;
/**
 * Above the limit, but below this multiple of it, clients that keep reading keep their connections, and so does an
 * address with only one answer. A single answer may be larger than the limit.
 */
const hardMultiple = 4;
const lookMs = 3_000;
/**
 * After this many checks without progress, an answer is stalled. One check is not enough, because the process may have
 * been too busy to send.
 */
const stalledLooks = 2;
/** After this many checks (two minutes), a client that reads nothing of its answer is disconnected. */
const maxIdleLooks = 40;

interface UnreadAnswer {
  readonly address: string;
  /** The value of {@link unsentMark} at the last check. */
  mark: number;
  /** The number of checks since the client last read something. */
  idleLooks: number;
}

type Entry = readonly [Duplex, UnreadAnswer];

/**
 * Limits the memory of answers that nobody reads. Above the limit, the address with the most unread bytes loses
 * connections from which it does not read. It keeps its last one unless memory is short.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** In the order in which they were written, the oldest first. */
  readonly #open = new Map<Duplex, UnreadAnswer>();
  #look: Disposable | undefined;

  constructor(clock: Clock, maxBytes = defaultMaxBytes) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Counts an answer from the moment at which the server has written it, until the client has read it. */
  watch(socket: Duplex, response: ServerResponse, address: string): void {
    response.once("prefinish", () => {
      if (socket.writableLength === 0) return;
      this.#open.set(socket, { address, mark: unsentMark(socket), idleLooks: 0 });
      response.once("close", () => this.#forget(socket));
      this.#bound();
      this.#look ??= this.#clock.after(lookMs, () => this.#lookAtAll());
    });
  }

  #forget(socket: Duplex): void {
    this.#open.delete(socket);
    if (this.#open.size > 0) return;
    this.#look?.[Symbol.dispose]();
    this.#look = undefined;
  }

  #lookAtAll(): void {
    this.#look = this.#clock.after(lookMs, () => this.#lookAtAll());
    for (const [socket, answer] of this.#open) {
      const mark = unsentMark(socket);
      answer.idleLooks = mark === answer.mark ? answer.idleLooks + 1 : 0;
      answer.mark = mark;
      if (answer.idleLooks >= maxIdleLooks) this.#end(socket);
    }
    this.#bound();
  }

  #end(socket: Duplex): void {
    this.#forget(socket);
    socket.destroy();
  }

  #bound(): void {
    for (;;) {
      const lengths = [...this.#open.keys()].map(({ writableLength }) => writableLength);
      const total = lengths.reduce((sum, length) => sum + length, 0);
      if (total <= this.#maxBytes) return;
      // Beside the largest answer, leave room for as many bytes of other answers.
      const hardMaxBytes = Math.max(hardMultiple * this.#maxBytes, 2 * Math.max(...lengths));
      const dispensable = this.#dispensable(total > hardMaxBytes);
      if (dispensable === undefined) return;
      this.#end(dispensable);
    }
  }

  /**
   * The connection to end: a stalled one of an address with several, or, if memory is short, any stalled one or else
   * the first. Connections of the address with the most unread bytes come first, and the older ones among them.
   * Undefined if none has to end.
   */
  #dispensable(isMemoryShort: boolean): Duplex | undefined {
    const addresses = [...Map.groupBy(this.#open, ([, { address }]) => address).values()].sort(
      (left, right) => unreadBytes(right) - unreadBytes(left),
    );
    const several = addresses.filter((entries) => entries.length > 1).flat();
    const all = addresses.flat();
    const found = several.find(isStalled) ?? (isMemoryShort ? (all.find(isStalled) ?? all[0]) : undefined);
    return found?.[0];
  }
}

function unreadBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, [socket]) => sum + socket.writableLength, 0);
}

function isStalled([socket, { idleLooks, mark }]: Entry): boolean {
  return idleLooks >= stalledLooks && unsentMark(socket) === mark;
}

/**
 * A number that changes whenever the client reads bytes. The length of the stream's queue does not: it counts a chunk,
 * which may be a whole answer, until the last byte of the chunk is sent.
 */
function unsentMark(socket: Duplex): number {
  const { _handle: handle, sentBytes = 0 } = socket as {
    readonly _handle?: { readonly writeQueueSize?: number } | null;
    readonly sentBytes?: number;
  };
  return socket.writableLength + (handle?.writeQueueSize ?? 0) - sentBytes;
}
