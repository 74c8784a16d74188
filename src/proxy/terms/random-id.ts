/** Fills bytes with randomness, for example `randomFillSync` of node:crypto. */
export type FillRandom = (bytes: Uint8Array) => void;

/**
 * The number of words that one call of the random source fills. The call runs much code that nothing else runs, so it
 * takes ten times as long between requests as in a loop.
 */
const poolWords = 4096;
const bitsOfHalf = 16;
const halfMask = 0xffff;
const wordDigits = 8;
const digits = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
const dash = 45;
/** The bits of a UUID in the halves of its second and third word. */
const version4 = 0x4000;
const versionMask = 0x0fff;
const variant1 = 0x8000;
const variantMask = 0x3fff;

/** Random numbers of 32 bits, many from one call of the random source. */
export class RandomWords {
  /** The current numbers. New ones get new memory, so that ids which refer to these stay valid. */
  words = new Int32Array(0);
  readonly #fill: FillRandom;
  #at = 0;

  constructor(fill: FillRandom) {
    this.#fill = fill;
  }

  /** The position in {@link words} of as many unused numbers. Read `words` afterwards. */
  take(count: number): number {
    if (this.#at + count > this.words.length) {
      this.words = new Int32Array(poolWords);
      this.#fill(new Uint8Array(this.words.buffer));
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + count;
    return at;
  }

  /** A text of random hexadecimal digits, eight for each word. */
  hexText(count: number): string {
    const from = this.take(count);
    const bytes = Buffer.allocUnsafe(count * wordDigits);
    for (let word = 0; word < count; word += 1) writeHex(bytes, word * wordDigits, this.words[from + word] ?? 0);
    return bytes.toString("latin1");
  }
}

/** Writes the eight hexadecimal digits of a word. */
export function writeHex(bytes: Uint8Array, at: number, word: number): void {
  writeHalf(bytes, at, word >>> bitsOfHalf);
  writeHalf(bytes, at + 4, word & halfMask);
}

function writeHalf(bytes: Uint8Array, at: number, half: number): void {
  bytes[at] = digits[half >>> 12] ?? 0;
  bytes[at + 1] = digits[(half >>> 8) & 15] ?? 0;
  bytes[at + 2] = digits[(half >>> 4) & 15] ?? 0;
  bytes[at + 3] = digits[half & 15] ?? 0;
}

export const uuidWords = 4;
export const uuidLetters = 36;

/** Writes a UUID of version 4 with the randomness of four words. */
export function writeUuid(bytes: Uint8Array, at: number, words: Int32Array, from: number): void {
  const second = words[from + 1] ?? 0;
  const third = words[from + 2] ?? 0;
  writeHex(bytes, at, words[from] ?? 0);
  bytes[at + 8] = dash;
  writeHalf(bytes, at + 9, second >>> bitsOfHalf);
  bytes[at + 13] = dash;
  writeHalf(bytes, at + 14, (second & versionMask) | version4);
  bytes[at + 18] = dash;
  writeHalf(bytes, at + 19, ((third >>> bitsOfHalf) & variantMask) | variant1);
  bytes[at + 23] = dash;
  writeHalf(bytes, at + 24, third & halfMask);
  writeHex(bytes, at + 28, words[from + 3] ?? 0);
}

/** A random UUID. It is mostly written as bytes and rarely read, so it holds the numbers of which it is made. */
export class RandomUuid {
  readonly words: Int32Array;
  readonly from: number;

  /** Four words, which must not change. */
  constructor(words: Int32Array, from: number) {
    this.words = words;
    this.from = from;
  }

  get byteLength(): number {
    return uuidLetters;
  }

  writeTo(bytes: Uint8Array, at: number): void {
    writeUuid(bytes, at, this.words, this.from);
  }

  toString(): string {
    const bytes = Buffer.allocUnsafe(uuidLetters);
    this.writeTo(bytes, 0);
    return bytes.toString("latin1");
  }
}

/** Makes the ids of requests. */
export type NewRequestId = () => RandomUuid | string;

/** Returns one UUID of version 4 after another. */
export function randomUuids(fill: FillRandom): () => RandomUuid {
  const pool = new RandomWords(fill);
  return () => {
    const from = pool.take(uuidWords);
    return new RandomUuid(pool.words, from);
  };
}
