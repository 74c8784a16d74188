import { addressOf } from "./libc.ts";

/**
 * Finds the memory address of a buffer, without a call for the buffer that was used last. The memory of an ArrayBuffer
 * does not move, and the entry keeps the buffer alive, so the address stays valid.
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
