/** Fills bytes with random values, such as `randomFillSync` of node:crypto. */
export type FillRandom = (bytes: Uint8Array) => void;

/**
 * The number of words that one call of the random source fills. Between requests, such a call takes up to 70 us of CPU.
 * Most of that is independent of the number of words: the code of the source has to be loaded into the processor's
 * caches again.
 */
const poolWords = 16_384;
const bitsOfHalf = 16;
const halfMask = 0xffff;
const wordDigits = 8;
/**
 * The two hexadecimal digits of each byte as one 16-bit number, with the first digit in the lower half. So one 32-bit
 * store of a DataView writes the four digits of two bytes.
 */
const digits = Uint16Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, "0")).readUInt16LE(),
);
const dash = 45;
/** The bits of a version 4 UUID in the halves of its second and third word. */
const version4 = 0x4000;
const versionMask = 0x0fff;
const variant1 = 0x8000;
const variantMask = 0x3fff;

/** A supply of random 32-bit numbers, which are made many at a time. */
export class RandomWords {
  /** The numbers. They are overwritten when all are used, so copy those that must be kept. */
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

export function writeHex(bytes: DataView, at: number, word: number): void {
  writeHalf(bytes, at, word >>> bitsOfHalf);
  writeHalf(bytes, at + 4, word & halfMask);
}

function writeHalf(bytes: DataView, at: number, half: number): void {
  bytes.setInt32(at, (digits[half >>> 8] ?? 0) | ((digits[half & 255] ?? 0) << bitsOfHalf), true);
}

/** Makes a text from the bytes that `writeTo` writes. */
export function writtenText(byteLength: number, writeTo: (bytes: DataView) => void): string {
  const bytes = Buffer.allocUnsafe(byteLength);
  writeTo(viewOf(bytes));
  return bytes.toString("latin1");
}

/** A DataView over the same bytes, which can store numbers of several bytes at any position. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

const uuidWords = 4;
export const uuidLetters = 36;

/**
 * A random UUID. It is mostly written as bytes and rarely read as text, so it stores the numbers of which it is made.
 */
export class RandomUuid {
  readonly #first: number;
  readonly #second: number;
  readonly #third: number;
  readonly #fourth: number;

  /** Copies four words, from position `from` on. */
  constructor(words: Int32Array, from: number) {
    this.#first = words[from] ?? 0;
    this.#second = words[from + 1] ?? 0;
    this.#third = words[from + 2] ?? 0;
    this.#fourth = words[from + 3] ?? 0;
  }

  get byteLength(): number {
    return uuidLetters;
  }

  /** Writes the UUID as text (version 4). */
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

export type NewRequestId = () => RandomUuid;

export function randomUuids(fill: FillRandom): NewRequestId {
  const pool = new RandomWords(fill);
  return () => new RandomUuid(pool.words, pool.take(uuidWords));
}
