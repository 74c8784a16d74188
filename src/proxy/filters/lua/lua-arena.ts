import type { WasmMemory } from "./web-assembly.ts";

/** Sizes up to this are allocated in steps of 16 bytes, and larger ones in four steps for each power of two. */
const smallBytes = 1024;
const growBytes = 1 << 20;
const pageBytes = 65_536;

/**
 * The bounded memory for one interpreter's values. It follows the interpreter's static memory. Freed blocks are kept by
 * size, so that each allocation takes constant time.
 */
export class LuaArena {
  readonly #memory: WasmMemory;
  readonly #maxBytes: number;
  readonly #mayGrow: (bytes: number) => boolean;
  readonly #start: number;
  #next: number;
  readonly #free = new Map<number, number[]>();
  /** Whether a block did not fit into the memory since the owner last reset this flag. */
  wasFull = false;

  constructor(memory: WasmMemory, maxBytes: number, mayGrow: (bytes: number) => boolean) {
    this.#memory = memory;
    this.#maxBytes = maxBytes;
    this.#mayGrow = mayGrow;
    this.#start = memory.buffer.byteLength;
    this.#next = this.#start;
  }

  get grownBytes(): number {
    return this.#memory.buffer.byteLength - this.#start;
  }

  /** Lua's allocator: allocates, resizes and frees blocks. Returns 0 if there is no memory left. */
  readonly reallocate = (_data: number, block: number, oldBytes: number, newBytes: number): number => {
    const oldSize = block === 0 ? 0 : blockSize(oldBytes);
    if (newBytes === 0) {
      if (block !== 0) this.#release(block, oldSize);
      return 0;
    }
    const newSize = blockSize(newBytes);
    if (newSize === oldSize) return block;
    const moved = this.#take(newSize);
    // Lua requires that shrinking a block never fails.
    if (moved === 0) return newSize < oldSize ? block : 0;
    if (block !== 0) {
      new Uint8Array(this.#memory.buffer).copyWithin(moved, block, block + Math.min(oldBytes, newBytes));
      this.#release(block, oldSize);
    }
    return moved;
  };

  #take(size: number): number {
    const kept = this.#free.get(size)?.pop();
    if (kept !== undefined) return kept;
    const end = this.#next + size;
    const missing = end - this.#memory.buffer.byteLength;
    const growth = missing > 0 ? Math.max(missing, growBytes) : 0;
    if (end - this.#start > this.#maxBytes || (growth > 0 && !this.#mayGrow(growth))) {
      this.wasFull = true;
      return 0;
    }
    if (growth > 0) this.#memory.grow(Math.ceil(growth / pageBytes));
    const block = this.#next;
    this.#next = end;
    return block;
  }

  #release(block: number, size: number): void {
    let kept = this.#free.get(size);
    if (kept === undefined) this.#free.set(size, (kept = []));
    kept.push(block);
  }
}

function blockSize(bytes: number): number {
  if (bytes <= smallBytes) return (bytes + 15) & ~15;
  const step = 1 << Math.max(4, 29 - Math.clz32(bytes - 1));
  return Math.ceil(bytes / step) * step;
}
