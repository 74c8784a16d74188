import { addressOf } from "./libc.ts";

/**
 * Finds the memory address of a buffer. It keeps the address of the last buffer, because looking one up is slow. An
 * ArrayBuffer does not move, and this object keeps it alive, so the address stays valid.
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
