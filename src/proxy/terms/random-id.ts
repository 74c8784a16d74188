/** Fills bytes with randomness, for example `randomFillSync` of node:crypto. */
export type FillRandom = (bytes: Uint8Array) => void;

/**
 * The number of words that one call of the random source fills. Between requests, a call takes up to 70 us of CPU. Most
 * of that does not depend on the number of words: the source's code has to be loaded into the processor's caches again.
 */
const poolWords = 16_384;
const bitsOfHalf = 16;
const halfMask = 0xffff;
const wordDigits = 8;
/**
 * The two hexadecimal digits of each byte as one number, with the first digit in the lower half. So one store of a
 * DataView writes the four digits of two bytes.
 */
const digits = Uint16Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, "0")).readUInt16LE(),
);
const dash = 45;
/** The bits of a UUID in the halves of its second and third word. */
const version4 = 0x4000;
const versionMask = 0x0fff;
const variant1 = 0x8000;
const variantMask = 0x3fff;

/** Random numbers of 32 bits, many from one call of the random source. */
export class RandomWords {
  /** Memory that is filled again when all numbers are used. Copy what must be kept. */
  readonly words = new Int32Array(poolWords);
  readonly #bytes = new Uint8Array(this.words.buffer);
  readonly #fill: FillRandom;
  #at = poolWords;

  constructor(fill: FillRandom) {
    this.#fill = fill;
  }

  /** Returns the position in {@link words} from which this many numbers are unused. */
  take(count: number): number {
    if (this.#at + count > poolWords) {
      this.#fill(this.#bytes);
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + count;
    return at;
  }

  /** A text of random hexadecimal digits, eight for each word. */
  hexText(count: number): string {
    const from = this.take(count);
    return writtenText(count * wordDigits, (bytes) => {
      for (let word = 0; word < count; word += 1) writeHex(bytes, word * wordDigits, this.words[from + word] ?? 0);
    });
  }
}

/** Writes the eight hexadecimal digits of a word. */
export function writeHex(bytes: DataView, at: number, word: number): void {
  writeHalf(bytes, at, word >>> bitsOfHalf);
  writeHalf(bytes, at + 4, word & halfMask);
}

function writeHalf(bytes: DataView, at: number, half: number): void {
  bytes.setInt32(at, (digits[half >>> 8] ?? 0) | ((digits[half & 255] ?? 0) << bitsOfHalf), true);
}

/** The text of so many bytes, which `writeTo` writes. */
export function writtenText(byteLength: number, writeTo: (bytes: DataView) => void): string {
  const bytes = Buffer.allocUnsafe(byteLength);
  writeTo(viewOf(bytes));
  return bytes.toString("latin1");
}

/** A DataView of the same bytes. It stores numbers of several bytes at any position. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

const uuidWords = 4;
export const uuidLetters = 36;

/** A random UUID. It is mostly written as bytes and rarely read, so it holds the numbers of which it is made. */
export class RandomUuid {
  readonly #first: number;
  readonly #second: number;
  readonly #third: number;
  readonly #fourth: number;

  /** Copies four words. */
  constructor(words: Int32Array, from: number) {
    this.#first = words[from] ?? 0;
    this.#second = words[from + 1] ?? 0;
    this.#third = words[from + 2] ?? 0;
    this.#fourth = words[from + 3] ?? 0;
  }

  get byteLength(): number {
    return uuidLetters;
  }

  /** Writes the UUID in its version 4. */
  writeTo(bytes: DataView, at: number): void {
    writeHex(bytes, at, this.#first);
    bytes.setUint8(at + 8, dash);
    writeHalf(bytes, at + 9, this.#second >>> bitsOfHalf);
    bytes.setUint8(at + 13, dash);
    writeHalf(bytes, at + 14, (this.#second & versionMask) | version4);
    bytes.setUint8(at + 18, dash);
    writeHalf(bytes, at + 19, ((this.#third >>> bitsOfHalf) & variantMask) | variant1);
    bytes.setUint8(at + 23, dash);
    writeHalf(bytes, at + 24, this.#third & halfMask);
    writeHex(bytes, at + 28, this.#fourth);
  }

  toString(): string {
    return writtenText(uuidLetters, (bytes) => this.writeTo(bytes, 0));
  }
}

/** Makes the ids of requests. */
export type NewRequestId = () => RandomUuid;

/** Returns one UUID of version 4 after another. */
export function randomUuids(fill: FillRandom): NewRequestId {
  const pool = new RandomWords(fill);
  return () => new RandomUuid(pool.words, pool.take(uuidWords));
}
