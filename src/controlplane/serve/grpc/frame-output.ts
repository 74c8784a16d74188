import { writeAll, type ByteStream } from "../../../net/index.ts";
import { FrameWriter } from "../../../wire/http2/index.ts";
import { grpcLimits } from "./grpc-limits.ts";

export interface OutputOwner {
  flush(): void;
}

/**
 * The buffer for the frames of one connection at a time. All connections of a server share it, so that the messages of
 * a change pass through the same memory, which stays in the processor's cache. A connection claims the buffer before it
 * writes frames. Then the frames of the previous connection are sent; those of the last one are sent at the end of the
 * turn. Large parts are not copied into the buffer, but are sent in the same write.
 */
export class FrameOutput {
  #writer = new FrameWriter();
  #owner: OutputOwner | undefined;
  #armed = false;
  /** Parts outside of the buffer. `#places` has the position in the buffer of each. */
  readonly #large: Buffer[] = [];
  readonly #places: number[] = [];
  #largeBytes = 0;
  readonly #endOfTurn = (): void => {
    this.#armed = false;
    this.#owner?.flush();
  };

  /** Lets `owner` write frames until another connection claims the buffer. */
  claim(owner: OutputOwner): FrameWriter {
    if (this.#owner === owner) return this.#writer;
    this.#owner?.flush();
    this.#owner = owner;
    if (!this.#armed) {
      this.#armed = true;
      queueMicrotask(this.#endOfTurn);
    }
    return this.#writer;
  }

  /** How many of the owner's bytes are not sent yet. */
  get length(): number {
    return this.#writer.length + this.#largeBytes;
  }

  part(bytes: Buffer): void {
    if (bytes.length <= grpcLimits.copiedPartBytes) {
      this.#writer.raw(bytes);
      return;
    }
    this.#large.push(bytes);
    this.#places.push(this.#writer.length);
    this.#largeBytes += bytes.length;
  }

  /**
   * Sends the frames of `owner`. Returns false if the stream accepts no more until its `drain`. `waits` says that the
   * stream will probably not finish the write at once.
   */
  writeTo(stream: ByteStream, owner: OutputOwner, waits: boolean): boolean {
    if (this.#owner !== owner || this.length === 0) return true;
    this.#owner = undefined;
    const writer = this.#writer;
    const copied = waits || stream.bufferedBytes > 0;
    const view = copied ? Buffer.from(writer.view()) : writer.view();
    const taken = this.#large.length === 0 ? stream.write(view) : writeAll(stream, this.#chunksOf(view));
    // The write made no copy, so the kernel may still read from the old memory.
    if (!copied && stream.bufferedBytes > 0) this.#writer = new FrameWriter();
    this.#clear();
    return taken;
  }

  drop(owner: OutputOwner): void {
    if (this.#owner !== owner) return;
    this.#owner = undefined;
    this.#clear();
  }

  #clear(): void {
    this.#writer.reuse();
    this.#large.length = 0;
    this.#places.length = 0;
    this.#largeBytes = 0;
  }

  #chunksOf(view: Buffer): readonly Buffer[] {
    const chunks: Buffer[] = [];
    let at = 0;
    for (const [index, part] of this.#large.entries()) {
      const place = this.#places[index] ?? at;
      if (place > at) chunks.push(view.subarray(at, place));
      chunks.push(part);
      at = place;
    }
    if (at < view.length) chunks.push(view.subarray(at));
    return chunks;
  }
}
