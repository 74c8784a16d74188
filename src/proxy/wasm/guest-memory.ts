import type { ModuleMemory } from "./engine.ts";

export class MemoryFault extends Error {
  override readonly name = "MemoryFault";
}

/** A module's memory. The host allocates in it with the module's own allocator. */
export class GuestMemory {
  readonly #memory: ModuleMemory;
  readonly #allocate: (size: number) => number;
  readonly #read: (bytes: number) => void;

  /** `read` is called before bytes of the module are copied, and may refuse that by an error. */
  constructor(memory: ModuleMemory, allocate: (size: number) => number, read: (bytes: number) => void) {
    this.#memory = memory;
    this.#allocate = allocate;
    this.#read = read;
  }

  /** Returns a copy of a range, because the module may change or move its memory. */
  bytes(at: number, size: number): Buffer {
    return Buffer.from(this.#readable(at, size));
  }

  text(at: number, size: number): string {
    return this.#readable(at, size).toString("utf8");
  }

  /** Text with one character for each byte. */
  byteText(at: number, size: number): string {
    return this.#readable(at, size).toString("latin1");
  }

  write(at: number, bytes: Uint8Array): void {
    this.#range(at, bytes.length).set(bytes);
  }

  writeWord(at: number, value: number): void {
    this.#range(at, 4).writeUInt32LE(value >>> 0);
  }

  writeLong(at: number, value: bigint): void {
    this.#range(at, 8).writeBigUInt64LE(BigInt.asUintN(64, value));
  }

  readWord(at: number): number {
    return this.#range(at, 4).readUInt32LE();
  }

  /** Copies bytes into the module's memory, and writes their address and length to where the module expects them. */
  give(bytes: Uint8Array, pointerAt: number, sizeAt: number): void {
    let pointer = 0;
    if (bytes.length > 0) {
      pointer = this.#allocate(bytes.length) >>> 0;
      if (pointer === 0) throw new MemoryFault("the module has no memory left");
      this.write(pointer, bytes);
    }
    this.writeWord(pointerAt, pointer);
    this.writeWord(sizeAt, bytes.length);
  }

  #readable(at: number, size: number): Buffer {
    const range = this.#range(at, size);
    this.#read(range.length);
    return range;
  }

  #range(at: number, size: number): Buffer {
    const start = at >>> 0;
    const length = size >>> 0;
    const { buffer } = this.#memory;
    if (start + length > buffer.byteLength) throw new MemoryFault("outside of the module's memory");
    return Buffer.from(buffer, start, length);
  }
}
