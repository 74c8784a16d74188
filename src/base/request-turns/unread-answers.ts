import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";

/** The limit of answer bytes that clients of one server have not read yet. */
const defaultMaxBytes = 64 << 20;
/**
 * Up to this multiple of the limit, clients that keep reading keep their connections, and so does a client with only
 * one answer. An answer may be larger than the limit.
 */
const hardMultiple = 4;
const lookMs = 3_000;
/**
 * The number of checks without progress after which an answer is stalled. One is not enough, because the process may
 * have been too busy to send.
 */
const stalledLooks = 2;
/** The number of checks (two minutes) after which a client that reads nothing of its answer is disconnected. */
const maxIdleLooks = 40;

interface UnreadAnswer {
  readonly address: string;
  /** The value of {@link unsentMark} at the last check that found that the client had read. */
  mark: number;
  /** The number of checks since then. */
  idleLooks: number;
}

type Entry = readonly [Duplex, UnreadAnswer];

/**
 * Limits the memory of answers that nobody reads. Above the limit, the address with the most unread bytes loses the
 * connections that it does not read, except its only one.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #open = new Map<Duplex, UnreadAnswer>();
  #look: Disposable | undefined;

  constructor(clock: Clock, maxBytes = defaultMaxBytes) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Counts the answer from the moment when the server has written it until the client has read it. */
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
      // Leave room beside the largest answer for as many bytes of other answers.
      const hardMaxBytes = Math.max(hardMultiple * this.#maxBytes, 2 * Math.max(...lengths));
      const dispensable = this.#dispensable(total > hardMaxBytes);
      if (dispensable === undefined) return;
      this.#end(dispensable);
    }
  }

  /** The connection to end. Those of the address with the most unread bytes come first, the oldest of them first. */
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
 * which may be a whole answer, until its last byte is sent.
 */
function unsentMark(socket: Duplex): number {
  const { _handle: handle, sentBytes = 0 } = socket as {
    readonly _handle?: { readonly writeQueueSize?: number } | null;
    readonly sentBytes?: number;
  };
  return socket.writableLength + (handle?.writeQueueSize ?? 0) - sentBytes;
}
