import type { ByteStream, ByteStreamHandler } from "../net/index.ts";

export interface RelayResult {
  /** `forwardBytes` counts the bytes from the first stream, and `backwardBytes` those from the second. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** The first failure. It is undefined if both sides ended in an orderly way. */
  readonly error: Error | undefined;
  readonly failed: "first" | "second" | undefined;
}

export interface RelayOptions {
  /**
   * Called with the length of each chunk from the first stream to the second. `onBackward` is for the opposite
   * direction.
   */
  readonly onForward?: (bytes: number) => void;
  readonly onBackward?: (bytes: number) => void;
}

/**
 * Copies bytes in both directions until both streams have closed. It forwards an end as an end, and a failure as a
 * reset. A slow reader slows the writer down. It resumes both streams.
 */
export function relay(first: ByteStream, second: ByteStream, options: RelayOptions = {}): Promise<RelayResult> {
  return new Promise((resolve) => {
    const pair = new Pair(first, second, resolve);
    first.setHandler(new OneWay(pair, first, second, options.onForward));
    second.setHandler(new OneWay(pair, second, first, options.onBackward));
    first.resume();
    second.resume();
  });
}

class Pair {
  /** How many of the two sides have ended in an orderly way. */
  ends = 0;
  readonly #first: ByteStream;
  readonly #second: ByteStream;
  readonly #resolve: (result: RelayResult) => void;
  #open = 2;
  #error: Error | undefined;
  #failed: "first" | "second" | undefined;

  constructor(first: ByteStream, second: ByteStream, resolve: (result: RelayResult) => void) {
    this.#first = first;
    this.#second = second;
    this.#resolve = resolve;
  }

  closed(stream: ByteStream, cause: Error | undefined): void {
    if (cause !== undefined && this.#error === undefined) {
      this.#error = cause;
      this.#failed = stream === this.#first ? "first" : "second";
    }
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#resolve({
      forwardBytes: this.#first.receivedBytes,
      backwardBytes: this.#second.receivedBytes,
      error: this.#error,
      failed: this.#failed,
    });
  }
}

class OneWay implements ByteStreamHandler {
  readonly #pair: Pair;
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  readonly #count: ((bytes: number) => void) | undefined;

  constructor(pair: Pair, from: ByteStream, to: ByteStream, count: ((bytes: number) => void) | undefined) {
    this.#pair = pair;
    this.#from = from;
    this.#to = to;
    this.#count = count;
  }

  data(chunk: Buffer): void {
    this.#count?.(chunk.length);
    // Do not copy the chunk: both kinds of stream keep the unsent part of a chunk that is being delivered.
    if (!this.#to.write(chunk)) this.#from.pause();
  }

  end(): void {
    this.#pair.ends += 1;
    this.#to.end();
  }

  drain(): void {
    // The output of `from` has room again, so the other stream may continue.
    this.#to.resume();
  }

  close(error: Error | undefined): void {
    if (error !== undefined) this.#to.destroy({ reset: true });
    // If both sides have ended, the other side closes by itself once it has sent its queue.
    else if (this.#pair.ends < 2) this.#to.destroy();
    this.#pair.closed(this.#from, error);
  }
}
