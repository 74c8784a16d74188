import type { ByteStream } from "../byte-stream.ts";

/** Bytes that depend on their position, so that a test notices lost, repeated or mixed-up bytes. */
export function pattern(offset: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index += 1) out[index] = patternByte(offset + index);
  return out;
}

function patternByte(position: number): number {
  return (position ^ (position >> 8) ^ (position >> 16)) & 0xff;
}

export interface RecorderOptions {
  readonly paused?: boolean;
  /** Compares the bytes with {@link pattern}, instead of keeping them. */
  readonly verifyPattern?: boolean;
}

/** Records what a stream delivers. A test can wait for it. */
export class Recorder {
  readonly ended: Promise<Buffer>;
  readonly closed: Promise<Error | undefined>;
  count = 0;
  closes = 0;
  mismatchAt: number | undefined;
  onDrain: () => void = () => undefined;
  readonly #chunks: Buffer[] = [];
  readonly #waiting: { readonly bytes: number; readonly resolve: () => void }[] = [];

  constructor(stream: ByteStream, options: RecorderOptions = {}) {
    const ended = Promise.withResolvers<Buffer>();
    const closed = Promise.withResolvers<Error | undefined>();
    this.ended = ended.promise;
    this.closed = closed.promise;
    stream.setHandler({
      data: (chunk) => this.#take(chunk, options.verifyPattern === true),
      end: () => ended.resolve(this.bytes),
      drain: () => this.onDrain(),
      close: (error) => {
        this.closes += 1;
        closed.resolve(error);
      },
    });
    if (options.paused !== true) stream.resume();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Resolves when at least this many bytes have arrived. */
  received(bytes: number): Promise<void> {
    if (this.count >= bytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ bytes, resolve }));
  }

  #take(chunk: Buffer, verify: boolean): void {
    if (verify) this.#verify(chunk);
    else this.#chunks.push(Buffer.from(chunk));
    this.count += chunk.length;
    for (const waiter of this.#waiting) if (this.count >= waiter.bytes) waiter.resolve();
  }

  #verify(chunk: Buffer): void {
    for (let index = 0; index < chunk.length; index += 1) {
      if (chunk[index] === patternByte(this.count + index)) continue;
      this.mismatchAt ??= this.count + index;
      return;
    }
  }
}

/** Relays both directions between two streams, with back pressure and without copies. */
export function relay(left: ByteStream, right: ByteStream): void {
  const join = (from: ByteStream, to: ByteStream): void => {
    from.setHandler({
      data: (chunk) => {
        if (!to.write(chunk)) from.pause();
      },
      end: () => to.end(),
      drain: () => to.resume(),
      close: (error) => {
        if (error !== undefined) to.destroy({ error });
      },
    });
  };
  join(left, right);
  join(right, left);
  left.resume();
  right.resume();
}
