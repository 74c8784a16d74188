import { LinkedList, type Linked } from "../base/index.ts";

// Memory into which streams read. A stream owns one buffer at a time. If a reader still needs bytes after `data` has
// returned, it holds the buffer, and the stream takes another one.

/** Free bytes before the data, so that a frame header fits there without copying the data. */
const headroomBytes = 16;

/** The sizes of the buffers. The largest is only for streams of messages ({@link messageReadTier}). */
export const readBufferTiers = [4096, 65_536, 262_144, 266_240] as const;
/**
 * The index of the largest size for ordinary streams. The next size would cost a ztunnel a tenth of its bulk
 * throughput.
 */
export const usualReadTier = 2;
/**
 * The index of the largest size for streams of messages. It is 4 KiB more than 256 KiB, because the size of a body is
 * often a power of two: the head and the body then fit into one read, and no few bytes are left for a separate read and
 * write.
 */
export const messageReadTier = 3;
/** How many spare buffers of each tier are kept: 1, 4, 4 and 4 MiB. */
const sparesKept: readonly number[] = [256, 64, 16, 16];
const spares: readonly ReadBuffer[][] = readBufferTiers.map(() => []);

/** The maximum bytes of a thread's large buffers, which are all except those of the first tier. */
interface LargeBounds {
  /** Of the buffers that streams own. */
  readonly owned: number;
  /** Of all buffers, including those that readers still hold. */
  readonly all: number;
}

const maxLargeBounds: LargeBounds = { owned: 64 * 1_048_576, all: 256 * 1_048_576 };
const minLargeBounds: LargeBounds = { owned: 8 * 1_048_576, all: 32 * 1_048_576 };
/** Large buffers may use this part of a container's memory: one in so many. */
const memoryParts = 8;
/** After this many refusals of streams to give up their buffers, the search for room ends. */
const maxRefusals = 8;

/** A stream that owns a large buffer. It may receive nothing for hours, so others may take the buffer. */
export class LargeReader implements Linked<LargeReader> {
  /** Makes the stream read into a small buffer. Returns false if the stream cannot do so now. */
  readonly giveUp: () => boolean;
  bytes = 0;
  isListed = false;
  previous: LargeReader | undefined;
  next: LargeReader | undefined;

  constructor(giveUp: () => boolean) {
    this.giveUp = giveUp;
  }
}

/**
 * Limits the large buffers of a thread. A stream keeps its buffer while it waits for data. Without a limit, a client
 * could fill the memory: it would open thousands of connections, transfer much data over each, and then wait.
 */
class LargeBuffers {
  bounds = largeBoundsOf(process.constrainedMemory());
  /** The bytes of all large buffers, owned or held. */
  bytes = 0;
  #ownedBytes = 0;
  /** The owners of large buffers, in the order of their last reads. */
  readonly #readers = new LinkedList<LargeReader>();

  /** To be called when a stream has got a large buffer, or has read into it. */
  hasRead(reader: LargeReader, tier: number): void {
    this.left(reader);
    reader.bytes = readBufferTiers[tier] ?? 0;
    this.#ownedBytes += reader.bytes;
    this.#readers.add(reader);
  }

  /** To be called when a stream no longer owns a large buffer. */
  left(reader: LargeReader): void {
    if (this.#readers.remove(reader)) this.#ownedBytes -= reader.bytes;
  }

  /**
   * Whether a stream may take a buffer of this tier. To make room, the streams that have not read for longest must give
   * up their buffers.
   */
  hasRoom(tier: number): boolean {
    if (tier === 0) return true;
    const bytes = readBufferTiers[tier] ?? 0;
    let refusals = 0;
    while (this.#ownedBytes + bytes > this.bounds.owned || this.bytes + bytes > this.bounds.all) {
      const idlest = this.#readers.first;
      if (idlest === undefined || refusals > maxRefusals) return false;
      if (idlest.giveUp()) continue;
      this.#readers.remove(idlest);
      this.#readers.add(idlest);
      refusals += 1;
    }
    return true;
  }
}

/** The bounds for a process whose memory has this limit. 0 means that it has no limit. */
export function largeBoundsOf(memoryBytes: number): LargeBounds {
  const all = memoryBytes > 0 ? memoryBytes / memoryParts : Infinity;
  const part = maxLargeBounds.owned / maxLargeBounds.all;
  return {
    owned: Math.max(minLargeBounds.owned, Math.min(maxLargeBounds.owned, all * part)),
    all: Math.max(minLargeBounds.all, Math.min(maxLargeBounds.all, all)),
  };
}

export const largeBuffers = new LargeBuffers();

export class ReadBuffer {
  readonly tier: number;
  /** The part into which libuv reads, after the headroom. */
  readonly area: Buffer;
  #holds = 0;
  #owned = true;

  private constructor(tier: number, bytes: number) {
    this.tier = tier;
    this.area = Buffer.allocUnsafeSlow(headroomBytes + bytes).subarray(headroomBytes);
  }

  static take(tier: number): ReadBuffer {
    if (tier > 0) largeBuffers.bytes += readBufferTiers[tier] ?? 0;
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

  /** To be called when the stream no longer reads into the buffer. */
  disown(): void {
    this.#owned = false;
    if (this.#holds === 0) this.#recycle();
  }

  #recycle(): void {
    if (this.tier > 0) largeBuffers.bytes -= readBufferTiers[this.tier] ?? 0;
    const list = spares[this.tier];
    if (list !== undefined && list.length < (sparesKept[this.tier] ?? 0)) list.push(this);
  }
}

let delivering: ReadBuffer | undefined;
let deliveryStart = 0;

/**
 * Calls `run` with a chunk in the buffer. During the call, readers may hold the chunk, or extend it at its front.
 * `start` is the chunk's offset in `area`.
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

/** The buffer of these bytes, if it is being delivered now. */
export function readBufferOf(bytes: Uint8Array): ReadBuffer | undefined {
  return delivering !== undefined && bytes.buffer === delivering.area.buffer ? delivering : undefined;
}

/**
 * A chunk is held in place only if it fills at least this part of its memory: one in so many. Otherwise a few bytes
 * could keep a large buffer.
 */
const heldParts = 4;
/** An offset at which no chunk begins, so that no header is put in front of a kept chunk. */
const noStart = -1;

/** The largest chunk that is appended to an earlier one's copy. */
const maxAddedBytes = 1024;
/** A copy does not grow beyond this size. */
const maxCopyBytes = 16_384;

/**
 * A chunk that is needed after its delivery. It is held in place, or copied if holding it would keep too much memory.
 */
export class KeptChunk {
  readonly #buffer: ReadBuffer | undefined;
  #bytes: Buffer;
  /** The number of free bytes after a copy. */
  #room = 0;
  #released = false;

  constructor(chunk: Buffer) {
    const buffer = readBufferOf(chunk);
    const isHeld = buffer !== undefined && chunk.length * heldParts >= buffer.area.length;
    this.#buffer = isHeld ? buffer : undefined;
    this.#buffer?.hold();
    this.#bytes = isHeld ? chunk : Buffer.from(chunk);
  }

  /** The bytes of the chunk, valid until {@link release}. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  skip(bytes: number): void {
    this.#bytes = this.#bytes.subarray(bytes);
  }

  /** Appends a small chunk. Returns false if this chunk is no copy, or if either is too large. */
  add(chunk: Buffer): boolean {
    const { length } = this.#bytes;
    const total = length + chunk.length;
    if (this.#buffer !== undefined || chunk.length > maxAddedBytes || total > maxCopyBytes) return false;
    if (this.#room < chunk.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(maxCopyBytes, 2 * total));
      this.#bytes.copy(grown);
      this.#bytes = grown.subarray(0, length);
      this.#room = grown.length - length;
    }
    this.#bytes = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, total);
    chunk.copy(this.#bytes, length);
    this.#room -= chunk.length;
    return true;
  }

  /** Calls `run` as if the chunk had just been read. A reader that needs it after the call must keep it again. */
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

/** At most this many places of removed chunks stay in the array. */
const maxGone = 64;

/**
 * A queue of chunks. Small chunks share memory, because a peer may send single bytes, and a chunk of one byte costs 200
 * bytes by itself.
 */
export class ChunkQueue {
  #chunks: KeptChunk[] = [];
  /**
   * How many chunks at the beginning of the array are removed. They stay in it for a while, because `shift` would move
   * all others.
   */
  #gone = 0;

  get isEmpty(): boolean {
    return this.#gone === this.#chunks.length;
  }

  get isLone(): boolean {
    return this.#chunks.length - this.#gone === 1;
  }

  get first(): KeptChunk | undefined {
    return this.#chunks[this.#gone];
  }

  /** Adds a chunk. The caller may reuse its memory after the call. */
  push(chunk: Buffer): void {
    if (this.isEmpty || this.#chunks.at(-1)?.add(chunk) !== true) this.#chunks.push(new KeptChunk(chunk));
  }

  /** Removes the chunk that has waited longest, and returns it. The caller must release it. */
  shift(): KeptChunk | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.#gone += 1;
    if (this.isEmpty) this.#chunks = [];
    else if (this.#gone < maxGone || this.#gone * 2 < this.#chunks.length) return first;
    else this.#chunks = this.#chunks.slice(this.#gone);
    this.#gone = 0;
    return first;
  }

  /** Releases all chunks, and returns their total length. */
  clear(): number {
    let bytes = 0;
    for (let chunk = this.shift(); chunk !== undefined; chunk = this.shift()) {
      bytes += chunk.bytes.length;
      chunk.release();
    }
    return bytes;
  }

  /** Removes all chunks, and returns their bytes as one piece. */
  takeAll(): Buffer {
    const kept: KeptChunk[] = [];
    for (let chunk = this.shift(); chunk !== undefined; chunk = this.shift()) kept.push(chunk);
    const all = Buffer.concat(kept.map(({ bytes }) => bytes));
    for (const chunk of kept) chunk.release();
    return all;
  }
}

/**
 * The chunk with `bytes` (at most 16) more writable bytes in front of it. It does not move. Undefined if there is no
 * room.
 */
export function expandFront(chunk: Uint8Array, bytes: number): Buffer | undefined {
  const buffer = readBufferOf(chunk);
  if (buffer === undefined || bytes > headroomBytes || deliveryStart !== 0) return undefined;
  if (chunk.byteOffset !== buffer.area.byteOffset) return undefined;
  return Buffer.from(chunk.buffer, chunk.byteOffset - bytes, chunk.length + bytes);
}
