import { clientPreface, frameFlag, frameHeaderLength, frameType } from "./constants.ts";

const initialBytes = 8_192;
/** A larger buffer, which a burst may leave, is not kept. */
const keepBytes = 1_048_576;
/** The maximum number of spare buffers. Two suffice, because the kernel reads one while the other one fills. */
const maxSpares = 2;

/** A frame's type and flags as one number, because they are neighbours in its header. */
function kindOf(type: number, flags: number): number {
  return (type << 8) | flags;
}

function dataKind(endStream: boolean): number {
  return kindOf(frameType.data, endStream ? frameFlag.endStream : 0);
}

function putFrameHeader(target: Uint8Array, at: number, length: number, kind: number, streamId: number): void {
  target[at] = length >> 16;
  target[at + 1] = length >> 8;
  target[at + 2] = length;
  target[at + 3] = kind >> 8;
  target[at + 4] = kind;
  target[at + 5] = streamId >> 24;
  target[at + 6] = streamId >> 16;
  target[at + 7] = streamId >> 8;
  target[at + 8] = streamId;
}

export const dataHeadBytes = frameHeaderLength;

/** Writes the header of a DATA frame to the beginning of the memory. The frame's `length` bytes must follow. */
export function putDataHead(target: Uint8Array, streamId: number, length: number, endStream: boolean): void {
  putFrameHeader(target, 0, length, dataKind(endStream), streamId);
}

/** Collects frames in one growing buffer, so that one write can send them. */
export class FrameWriter {
  #bytes: Buffer = Buffer.allocUnsafeSlow(initialBytes);
  #length = 0;
  readonly #lent: Buffer[] = [];
  readonly #spares: Buffer[] = [];

  get length(): number {
    return this.#length;
  }

  /** The frames so far, valid until {@link reuse} or {@link release}. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Starts again in the same memory. Nobody may need the bytes from {@link view} any more. */
  reuse(): void {
    this.#length = 0;
    if (this.#bytes.length > keepBytes) this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Starts again in other memory. The bytes from {@link view} stay valid until {@link returned}. */
  release(): void {
    const size = this.#bytes.length;
    this.#lent.push(this.#bytes);
    this.#bytes = this.#spares.pop() ?? Buffer.allocUnsafeSlow(Math.min(size, keepBytes));
    this.#length = 0;
  }

  /** To be called when nobody needs the released memory any more. */
  returned(): void {
    if (this.#lent.length === 0) return;
    for (const bytes of this.#lent)
      if (bytes.length <= keepBytes && this.#spares.length < maxSpares) this.#spares.push(bytes);
    this.#lent.length = 0;
  }

  preface(): void {
    const at = this.#grow(clientPreface.length);
    this.#bytes.write(clientPreface, at, "latin1");
  }

  frame(type: number, flags: number, streamId: number, payload?: Uint8Array): void {
    const length = payload?.length ?? 0;
    const at = this.#grow(frameHeaderLength + length);
    putFrameHeader(this.#bytes, at, length, kindOf(type, flags), streamId);
    if (payload !== undefined) this.#bytes.set(payload, at + frameHeaderLength);
  }

  data(streamId: number, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const length = end - start;
    const at = this.#grow(frameHeaderLength + length);
    putFrameHeader(this.#bytes, at, length, dataKind(endStream), streamId);
    if (length > 0)
      this.#bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at + frameHeaderLength);
  }

  /**
   * Writes the header of a DATA frame. The frame's `length` bytes must follow, with {@link raw} or outside of this
   * buffer.
   */
  dataHead(streamId: number, length: number, endStream: boolean): void {
    const at = this.#grow(frameHeaderLength);
    putFrameHeader(this.#bytes, at, length, dataKind(endStream), streamId);
  }

  /** Writes bytes of a frame whose header is already written. */
  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Writes a header block. A block above the peer's frame size is split into CONTINUATION frames. */
  headers(streamId: number, block: Uint8Array, endStream: boolean, maxFrameSize: number): void {
    const ending = endStream ? frameFlag.endStream : 0;
    if (block.length <= maxFrameSize) {
      this.frame(frameType.headers, frameFlag.endHeaders | ending, streamId, block);
      return;
    }
    this.frame(frameType.headers, ending, streamId, block.subarray(0, maxFrameSize));
    for (let at = maxFrameSize; at < block.length; at += maxFrameSize) {
      const last = at + maxFrameSize >= block.length;
      this.frame(
        frameType.continuation,
        last ? frameFlag.endHeaders : 0,
        streamId,
        block.subarray(at, at + maxFrameSize),
      );
    }
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#frame32(frameType.windowUpdate, streamId, increment);
  }

  rstStream(streamId: number, code: number): void {
    this.#frame32(frameType.rstStream, streamId, code);
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    const payload = Buffer.allocUnsafe(values.length * 6);
    for (const [index, [id, value]] of values.entries()) {
      payload.writeUInt16BE(id, index * 6);
      payload.writeUInt32BE(value, index * 6 + 2);
    }
    this.frame(frameType.settings, 0, 0, payload);
  }

  settingsAck(): void {
    this.frame(frameType.settings, frameFlag.ack, 0);
  }

  /** `opaque` must have 8 bytes. */
  ping(opaque: Uint8Array, ack: boolean): void {
    this.frame(frameType.ping, ack ? frameFlag.ack : 0, 0, opaque);
  }

  goaway(lastStreamId: number, code: number, debug = ""): void {
    const payload = Buffer.allocUnsafe(8 + Buffer.byteLength(debug));
    payload.writeUInt32BE(lastStreamId, 0);
    payload.writeUInt32BE(code, 4);
    payload.write(debug, 8);
    this.frame(frameType.goaway, 0, 0, payload);
  }

  #frame32(type: number, streamId: number, value: number): void {
    const at = this.#grow(frameHeaderLength + 4);
    putFrameHeader(this.#bytes, at, 4, kindOf(type, 0), streamId);
    this.#bytes.writeUInt32BE(value, at + frameHeaderLength);
  }

  /** Makes room for `length` bytes and counts them. Returns where they begin. */
  #grow(length: number): number {
    const at = this.#length;
    const needed = at + length;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#length = needed;
    return at;
  }
}
