// Memory that streams read into. A stream owns one buffer at a time. A reader that still needs bytes after `data` has
// returned holds the buffer, and the stream takes another.

/** Free bytes in front of the data, so that a frame header fits there without a copy. */
const headroomBytes = 16;

export const readBufferTiers = [4096, 65_536, 262_144] as const;
/** The number of spare buffers to keep for each tier: 1, 4 and 4 MiB. */
const sparesKept: readonly number[] = [256, 64, 16];
const spares: readonly ReadBuffer[][] = readBufferTiers.map(() => []);

export class ReadBuffer {
  readonly tier: number;
  /** The area into which libuv reads, behind the headroom. */
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

  /** Called when the stream that read into the buffer no longer needs it. */
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

/**
 * Calls `run`, during which chunks of the buffer may be held or extended. `start` is the chunk's offset in the area.
 */
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

/** The buffer whose delivery is running, if the bytes lie in it. */
export function readBufferOf(bytes: Uint8Array): ReadBuffer | undefined {
  return delivering !== undefined && bytes.buffer === delivering.area.buffer ? delivering : undefined;
}

/**
 * A chunk is held in place only if it fills at least this fraction of its memory, so that a few bytes never keep a
 * large buffer.
 */
const heldParts = 4;
/** No chunk begins at this offset, so nothing may be put in front of a kept one. */
const noStart = -1;

/** A chunk that outlives its delivery. It is held in place, or copied if holding would keep too much memory. */
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

  /** Drops this many bytes from the front. */
  skip(bytes: number): void {
    this.#bytes = this.#bytes.subarray(bytes);
  }

  /** Calls `run` as if the chunk had just been read. A reader that needs it for longer keeps it. */
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

/** The chunk with `bytes` (at most 16) writable bytes in front, in place. Undefined if there is no room. */
export function expandFront(chunk: Uint8Array, bytes: number): Buffer | undefined {
  const buffer = readBufferOf(chunk);
  if (buffer === undefined || bytes > headroomBytes || deliveryStart !== 0) return undefined;
  if (chunk.byteOffset !== buffer.area.byteOffset) return undefined;
  return Buffer.from(chunk.buffer, chunk.byteOffset - bytes, chunk.length + bytes);
}
