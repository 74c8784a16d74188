import type { ByteStream, ByteStreamHandler } from "../net/index.ts";

export interface RelayResult {
  /** Bytes that came from the first stream, and from the second. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Why it ended, unless both sides ended in order. */
  readonly error: Error | undefined;
  /** Where the error came from. */
  readonly failed: "first" | "second" | undefined;
}

export interface RelayOptions {
  /** Called for each piece, with its length: from the first stream to the second, and back. */
  readonly onForward?: (bytes: number) => void;
  readonly onBackward?: (bytes: number) => void;
}

/**
 * Copies bytes both ways until both streams have closed. An end is passed on as an end, a fault as a reset; a reader
 * that is slower than the writer holds the writer up. Both streams are resumed here.
 */
export function relay(first: ByteStream, second: ByteStream, options: RelayOptions = {}): Promise<RelayResult> {
  return new Promise((resolve) => {
    let open = 2;
    let error: Error | undefined;
    let failed: "first" | "second" | undefined;
    const closed = (side: "first" | "second", cause: Error | undefined) => {
      if (cause !== undefined && error === undefined) {
        error = cause;
        failed = side;
      }
      open -= 1;
      if (open > 0) return;
      resolve({ forwardBytes: first.receivedBytes, backwardBytes: second.receivedBytes, error, failed });
    };
    const ends: Ends = { count: 0 };
    first.setHandler(new OneWay(first, second, ends, options.onForward, (cause) => closed("first", cause)));
    second.setHandler(new OneWay(second, first, ends, options.onBackward, (cause) => closed("second", cause)));
    first.resume();
    second.resume();
  });
}

/** How many of the two sides have ended in order. */
interface Ends {
  count: number;
}

/** What comes from one stream goes to the other. */
class OneWay implements ByteStreamHandler {
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  readonly #ends: Ends;
  readonly #count: ((bytes: number) => void) | undefined;
  readonly #closed: (error: Error | undefined) => void;

  constructor(
    from: ByteStream,
    to: ByteStream,
    ends: Ends,
    count: ((bytes: number) => void) | undefined,
    closed: (error: Error | undefined) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#ends = ends;
    this.#count = count;
    this.#closed = closed;
  }

  data(chunk: Buffer): void {
    this.#count?.(chunk.length);
    // Both kinds of stream keep what they cannot send of a chunk that is being delivered.
    if (!this.#to.write(chunk)) this.#from.pause();
  }

  end(): void {
    this.#ends.count += 1;
    this.#to.end();
  }

  drain(): void {
    // We drained: whoever feeds us may go on.
    this.#to.resume();
  }

  close(error: Error | undefined): void {
    if (error !== undefined) this.#to.destroy({ reset: true });
    // After both ends the other side closes by itself, when it has sent what it holds.
    else if (this.#ends.count < 2) this.#to.destroy();
    this.#closed(error);
  }
}
