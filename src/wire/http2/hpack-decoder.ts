import { errorCode, Http2ConnectionError } from "./constants.ts";
import { huffmanDecode } from "./huffman.ts";
import { staticNames, staticValues } from "./static-table.ts";

export interface HpackDecoderOptions {
  /** The SETTINGS_HEADER_TABLE_SIZE that we announced. 4096 if absent. */
  readonly maxTableBytes?: number;
  /** The limit of a block's names and values, plus 32 bytes for each field. 64 KiB if absent. */
  readonly maxListBytes?: number;
}

const fieldOverhead = 32;
const staticLength = 61;

/**
 * Decodes HPACK (RFC 7541) in one direction of a connection. Every header block must pass through it, because each may
 * change the table.
 */
export class HpackDecoder {
  readonly #limit: number;
  readonly #maxListBytes: number;
  #maxBytes: number;
  /** The names of the dynamic table, newest first. `#values` has the values. */
  #names: string[] = [];
  #values: string[] = [];
  #tableBytes = 0;
  #at = 0;
  /** The table's index that the current field has. */
  #index = 0;

  constructor(options: HpackDecoderOptions = {}) {
    this.#limit = options.maxTableBytes ?? 4096;
    this.#maxBytes = this.#limit;
    this.#maxListBytes = options.maxListBytes ?? 65_536;
  }

  /**
   * Returns names and values in turn, as latin1 strings. Throws an {@link Http2ConnectionError} for an invalid block.
   * The connection must then end.
   */
  decode(block: Uint8Array, start = 0, end = block.length): string[] {
    const bytes = Buffer.isBuffer(block) ? block : Buffer.from(block.buffer, block.byteOffset, block.byteLength);
    const fields: string[] = [];
    let listBytes = 0;
    this.#at = start;
    while (this.#at < end) {
      const first = bytes[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (fields.length > 0) throw compressionError("a table size update after the first field");
        this.#resize(this.#integer(bytes, end, 5));
        continue;
      }
      const name = this.#name(bytes, end, first);
      const value = this.#value(bytes, end, first);
      if ((first & 0xc0) === 0x40) this.#insert(name, value);
      listBytes += name.length + value.length + fieldOverhead;
      if (listBytes > this.#maxListBytes) {
        throw new Http2ConnectionError(
          errorCode.enhanceYourCalm,
          `a header list is larger than ${this.#maxListBytes} bytes`,
        );
      }
      fields.push(name, value);
    }
    return fields;
  }

  /** Reads the name of the field. Sets {@link #index} for {@link #value}. */
  #name(bytes: Buffer, end: number, first: number): string {
    const prefixBits = (first & 0x80) !== 0 ? 7 : (first & 0x40) !== 0 ? 6 : 4;
    this.#index = this.#integer(bytes, end, prefixBits);
    if (this.#index === 0 && prefixBits !== 7) return this.#string(bytes, end);
    const name = this.#index <= staticLength ? staticNames[this.#index] : this.#names[this.#index - staticLength - 1];
    if (name === undefined || this.#index === 0) throw compressionError(`index ${this.#index} is not in the table`);
    return name;
  }

  #value(bytes: Buffer, end: number, first: number): string {
    if ((first & 0x80) === 0) return this.#string(bytes, end);
    const index = this.#index;
    return (index <= staticLength ? staticValues[index] : this.#values[index - staticLength - 1]) ?? "";
  }

  #insert(name: string, value: string): void {
    this.#names.unshift(name);
    this.#values.unshift(value);
    this.#tableBytes += name.length + value.length + fieldOverhead;
    this.#evict();
  }

  #resize(maxBytes: number): void {
    if (maxBytes > this.#limit)
      throw compressionError(`a table of ${maxBytes} bytes is larger than the ${this.#limit} we allow`);
    this.#maxBytes = maxBytes;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#maxBytes) {
      const name = this.#names.pop() ?? "";
      const value = this.#values.pop() ?? "";
      this.#tableBytes -= name.length + value.length + fieldOverhead;
    }
  }

  #integer(bytes: Buffer, end: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = (bytes[this.#at] ?? 0) & mask;
    this.#at += 1;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= end) throw compressionError("an integer is cut off");
      if (shift > 21) throw compressionError("an integer is too large");
      const byte = bytes[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  #string(bytes: Buffer, end: number): string {
    if (this.#at >= end) throw compressionError("a string is cut off");
    const huffman = ((bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(bytes, end, 7);
    const start = this.#at;
    if (start + length > end) throw compressionError("a string is cut off");
    this.#at = start + length;
    if (huffman) return huffmanDecode(bytes, start, this.#at);
    return bytes.toString("latin1", start, this.#at);
  }
}

function compressionError(fault: string): Http2ConnectionError {
  return new Http2ConnectionError(errorCode.compressionError, `invalid header block: ${fault}`);
}
