// Decompresses (RFC 1950 and 1951) a stream with a preset dictionary, which the sender flushes after each message.

const windowSize = 32_768;
const lengthBase = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const lengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12_289, 16_385, 24_577,
];
const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const maximumMessage = 1 << 20;

/** A canonical Huffman code: how many codes each length has, and the symbols in order. */
interface Code {
  readonly counts: readonly number[];
  readonly symbols: readonly number[];
}

function codeOf(lengths: readonly number[]): Code {
  const counts = Array.from({ length: 16 }, () => 0);
  for (const length of lengths) counts[length] = (counts[length] ?? 0) + 1;
  counts[0] = 0;
  const offsets = Array.from({ length: 17 }, () => 0);
  for (let length = 1; length < 16; length++) offsets[length + 1] = (offsets[length] ?? 0) + (counts[length] ?? 0);
  const symbols: number[] = [];
  lengths.forEach((length, symbol) => {
    if (length === 0) return;
    const at = offsets[length] ?? 0;
    symbols[at] = symbol;
    offsets[length] = at + 1;
  });
  return { counts, symbols };
}

const fixedLiterals = codeOf(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
);
const fixedDistances = codeOf(Array.from({ length: 30 }, () => 5));

/**
 * Inflates the messages of a stream. Keeps the last 32 KiB for the next message. Throws a RangeError for invalid data.
 */
export class MessageInflater {
  #window: Uint8Array;
  #started = false;
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #bits = 0;
  #bitCount = 0;
  #out: number[] = [];

  constructor(dictionary: Uint8Array) {
    this.#window = dictionary.slice(-windowSize);
  }

  /** Inflates one message, which must end at a flush. */
  inflate(message: Uint8Array): Uint8Array {
    this.#input = message;
    this.#at = 0;
    this.#bits = 0;
    this.#bitCount = 0;
    this.#out = [];
    if (!this.#started) {
      // Skip zlib's header. With bit 5 set, the dictionary's checksum follows it.
      this.#at = ((message[1] ?? 0) & 0x20) === 0 ? 2 : 6;
      this.#started = true;
    }
    while (this.#at < message.length) this.#block();
    const result = Uint8Array.from(this.#out);
    const joined = new Uint8Array(this.#window.length + result.length);
    joined.set(this.#window);
    joined.set(result, this.#window.length);
    this.#window = joined.slice(-windowSize);
    return result;
  }

  #block(): void {
    this.#read(1);
    const type = this.#read(2);
    if (type === 0) return this.#stored();
    if (type === 1) return this.#compressed(fixedLiterals, fixedDistances);
    if (type !== 2) throw new RangeError("a deflate block of an unknown type");
    const literalCount = this.#read(5) + 257;
    const distanceCount = this.#read(5) + 1;
    const lengths = this.#codeLengths(literalCount + distanceCount);
    this.#compressed(codeOf(lengths.slice(0, literalCount)), codeOf(lengths.slice(literalCount)));
  }

  #stored(): void {
    this.#bits = 0;
    this.#bitCount = 0;
    const length = (this.#input[this.#at] ?? 0) | ((this.#input[this.#at + 1] ?? 0) << 8);
    this.#at += 4;
    if (this.#at + length > this.#input.length) throw new RangeError("deflate data is cut off");
    for (const byte of this.#input.subarray(this.#at, this.#at + length)) this.#push(byte);
    this.#at += length;
  }

  #codeLengths(total: number): number[] {
    const count = this.#read(4) + 4;
    const first = Array.from({ length: 19 }, () => 0);
    for (let index = 0; index < count; index++) first[codeLengthOrder[index] ?? 0] = this.#read(3);
    const code = codeOf(first);
    const lengths: number[] = [];
    while (lengths.length < total) {
      const symbol = this.#symbol(code);
      if (symbol < 16) lengths.push(symbol);
      else {
        const value = symbol === 16 ? (lengths.at(-1) ?? 0) : 0;
        const repeat = symbol === 16 ? 3 + this.#read(2) : symbol === 17 ? 3 + this.#read(3) : 11 + this.#read(7);
        for (let left = repeat; left > 0; left--) lengths.push(value);
      }
    }
    return lengths;
  }

  #compressed(literals: Code, distances: Code): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) this.#push(symbol);
      else {
        const length = (lengthBase[symbol - 257] ?? 0) + this.#read(lengthExtra[symbol - 257] ?? 0);
        const code = this.#symbol(distances);
        const distance = (distanceBase[code] ?? 0) + this.#read(code < 2 ? 0 : (code >> 1) - 1);
        this.#copy(distance, length);
      }
    }
  }

  #copy(distance: number, length: number): void {
    for (let left = length; left > 0; left--) {
      const from = this.#out.length - distance;
      const byte = from >= 0 ? this.#out[from] : this.#window[this.#window.length + from];
      if (byte === undefined) throw new RangeError("deflate data points before its beginning");
      this.#push(byte);
    }
  }

  #push(byte: number): void {
    if (this.#out.length >= maximumMessage) throw new RangeError("a header block of more than 1 MiB");
    this.#out.push(byte);
  }

  #symbol({ counts, symbols }: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length++) {
      code |= this.#read(1);
      const count = counts[length] ?? 0;
      if (code - first < count) return symbols[index + code - first] ?? 0;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new RangeError("deflate data with an unknown code");
  }

  #read(count: number): number {
    while (this.#bitCount < count) {
      const byte = this.#input[this.#at];
      if (byte === undefined) throw new RangeError("deflate data is cut off");
      this.#bits |= byte << this.#bitCount;
      this.#at++;
      this.#bitCount += 8;
    }
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#bitCount -= count;
    return value;
  }
}
