// Memory that streams read into. A stream owns one buffer at a time; whoever still needs bytes of it after `data` has
// returned holds it, and the stream goes on with another.

/** Free bytes in front of what is read, so that a frame header can go there without a copy. */
const headroomBytes = 16;

export const readBufferTiers = [4096, 65_536, 262_144] as const;
/** Spare buffers kept, by tier: 1, 4 and 4 MiB. */
const sparesKept: readonly number[] = [256, 64, 16];
const spares: readonly ReadBuffer[][] = readBufferTiers.map(() => []);

export class ReadBuffer {
  readonly tier: number;
  /** Where libuv reads to, behind the headroom. */
  readonly area: Buffer;
  #holds = 0;
  #owned = true;

  private constructor(tier: number, bytes: number) {
    this.tier = tier;
    this.area = Buffer.allocUnsafeSlow(headroomBytes + bytes).subarray(headroomBytes);
  }

  static take(tier: number): ReadBuffer {
    const spare = spares[tier]?.pop();
    if (spare === undefined) return new ReadBuffer(tier, readBufferTiers[tier] ?? readBufferTiers[0]);
    spare.#owned = true;
    return spare;
  }

  get held(): boolean {
    return this.#holds > 0;
  }

  hold(): void {
    this.#holds += 1;
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0 && !this.#owned) this.#recycle();
  }

  /** The stream that read into it is done with it. */
  disown(): void {
    this.#owned = false;
    if (this.#holds === 0) this.#recycle();
  }

  #recycle(): void {
    const list = spares[this.tier];
    if (list !== undefined && list.length < (sparesKept[this.tier] ?? 0)) list.push(this);
  }
}

let delivering: ReadBuffer | undefined;
let deliveryStart = 0;

/** Calls `run` while chunks of the buffer may be held or extended; `start` is where the chunk begins in its area. */
export function deliver(buffer: ReadBuffer, start: number, chunk: Buffer, run: (chunk: Buffer) => void): void {
  const before = delivering;
  const startBefore = deliveryStart;
  delivering = buffer;
  deliveryStart = start;
  try {
    run(chunk);
  } finally {
    delivering = before;
    deliveryStart = startBefore;
  }
}

/** The buffer that is being delivered now, if the bytes lie in it. */
export function readBufferOf(bytes: Uint8Array): ReadBuffer | undefined {
  return delivering !== undefined && bytes.buffer === delivering.area.buffer ? delivering : undefined;
}

/** A chunk is held where it lies if it fills at least this part of its memory, so that a few bytes never keep much. */
const heldParts = 4;
/** No chunk begins here: nothing may be put in front of one that was kept. */
const noStart = -1;

/** A chunk that outlives its delivery: held where it lies, or copied where that would keep too much memory. */
export class KeptChunk {
  readonly #buffer: ReadBuffer | undefined;
  #bytes: Buffer;
  #released = false;

  constructor(chunk: Buffer) {
    const buffer = readBufferOf(chunk);
    const isHeld = buffer !== undefined && chunk.length * heldParts >= buffer.area.length;
    this.#buffer = isHeld ? buffer : undefined;
    this.#buffer?.hold();
    this.#bytes = isHeld ? chunk : Buffer.from(chunk);
  }

  /** Valid until {@link release}. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** So many bytes from the front are done with. */
  skip(bytes: number): void {
    this.#bytes = this.#bytes.subarray(bytes);
  }

  /** Calls `run` as if the chunk had just been read: who needs it for longer keeps it. */
  deliver(run: (chunk: Buffer) => void): void {
    if (this.#buffer === undefined) run(this.#bytes);
    else deliver(this.#buffer, noStart, this.#bytes, run);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#buffer?.release();
  }
}

/** The chunk with `bytes` (at most 16) writable in front of it, in place; undefined when there is no room there. */
export function expandFront(chunk: Buffer, bytes: number): Buffer | undefined {
  const buffer = readBufferOf(chunk);
  if (buffer === undefined || bytes > headroomBytes || deliveryStart !== 0) return undefined;
  if (chunk.byteOffset !== buffer.area.byteOffset) return undefined;
  return Buffer.from(chunk.buffer, chunk.byteOffset - bytes, chunk.length + bytes);
}
