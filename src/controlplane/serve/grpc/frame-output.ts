import { writeAll, type ByteStream } from "../../../net/index.ts";
import { FrameWriter } from "../../../wire/http2/index.ts";
import { grpcLimits } from "./grpc-limits.ts";

/** Whose frames are in the output. */
export interface OutputOwner {
  flush(): void;
}

/**
 * The frames of one connection at a time, shared by all connections of a server: what a change sends to hundreds of
 * clients passes through the same warm memory. Who puts frames claims it first, by which the frames of the one before
 * leave; those of the last leave at the end of the turn. Large parts are not copied, and leave in the same write.
 */
export class FrameOutput {
  #writer = new FrameWriter();
  #owner: OutputOwner | undefined;
  #armed = false;
  /** Parts that are not in the writer's memory, and where in it each has its place. */
  readonly #large: Buffer[] = [];
  readonly #places: number[] = [];
  #largeBytes = 0;
  readonly #endOfTurn = (): void => {
    this.#armed = false;
    this.#owner?.flush();
  };

  /** Where `owner` puts its frames, until somebody else claims it. */
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

  /** Bytes of the owner that wait here. */
  get length(): number {
    return this.#writer.length + this.#largeBytes;
  }

  /** A piece of the frame whose head was put last; its bytes must not change any more. */
  part(bytes: Buffer): void {
    if (bytes.length <= grpcLimits.copiedPartBytes) {
      this.#writer.raw(bytes);
      return;
    }
    this.#large.push(bytes);
    this.#places.push(this.#writer.length);
    this.#largeBytes += bytes.length;
  }

  /** Writes what `owner` has put; false when the stream takes no more before its `drain`. `waits`: the stream will hardly be done with it at once. */
  writeTo(stream: ByteStream, owner: OutputOwner, waits: boolean): boolean {
    if (this.#owner !== owner || this.length === 0) return true;
    this.#owner = undefined;
    const writer = this.#writer;
    const copied = waits || stream.bufferedBytes > 0;
    const view = copied ? Buffer.from(writer.view()) : writer.view();
    const taken = this.#large.length === 0 ? stream.write(view) : writeAll(stream, this.#chunksOf(view));
    // Without a copy the kernel may still read from that memory.
    if (!copied && stream.bufferedBytes > 0) this.#writer = new FrameWriter();
    this.#clear();
    return taken;
  }

  /** Forgets what `owner` has put. */
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
