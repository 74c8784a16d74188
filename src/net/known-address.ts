import { addressOf } from "./libc.ts";

/**
 * Finds addresses in the memory that was used last without a call. Memory of an ArrayBuffer does not move, and an entry
 * keeps its buffer alive, so the address is valid as long as the entry.
 */
export class KnownAddress {
  #buffer: ArrayBufferLike | undefined;
  #address = 0;

  of(bytes: Uint8Array): number {
    const { buffer } = bytes;
    if (buffer !== this.#buffer) {
      this.#address = addressOf(new Uint8Array(buffer));
      this.#buffer = buffer;
    }
    return this.#address + bytes.byteOffset;
  }
}
