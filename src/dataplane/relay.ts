import type { ByteStream, ByteStreamHandler } from "../net/index.ts";

export interface RelayResult {
  /** The number of bytes from the first stream, and from the second. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Why the relay ended. Undefined if both sides ended in order. */
  readonly error: Error | undefined;
  /** The stream that failed. */
  readonly failed: "first" | "second" | undefined;
}

export interface RelayOptions {
  /**
   * Called with the length of each chunk from the first stream to the second. The other one is for the opposite
   * direction.
   */
  readonly onForward?: (bytes: number) => void;
  readonly onBackward?: (bytes: number) => void;
}

/**
 * Copies bytes in both directions until both streams have closed. Passes on an end as an end, and a failure as a reset.
 * A slow reader slows down the writer. Resumes both streams.
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

/** Copies one direction. */
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
    // Both kinds of stream keep the unsent part of a chunk during its delivery.
    if (!this.#to.write(chunk)) this.#from.pause();
  }

  end(): void {
    this.#ends.count += 1;
    this.#to.end();
  }

  drain(): void {
    // Our output has drained, so the source may continue.
    this.#to.resume();
  }

  close(error: Error | undefined): void {
    if (error !== undefined) this.#to.destroy({ reset: true });
    // After both ends, the other side closes when it has sent its queue.
    else if (this.#ends.count < 2) this.#to.destroy();
    this.#closed(error);
  }
}
