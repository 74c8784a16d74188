/** Fills bytes with randomness, for example `randomFillSync` of node:crypto. */
export type FillRandom = (bytes: Uint8Array) => void;

/** How many texts are made from one call of the random source. */
const madeTogether = 128;
const uuidPattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
const uuidBytes = 16;
/** The bytes of a UUID whose first bits are its version and its variant. */
const versionAt = 6;
const variantAt = 8;
const version4 = 0x40;
const variant1 = 0x80;

/** A run of digits of each text that is moved at once: 8, 4 or 1 of them. */
interface DigitMove {
  readonly from: number;
  readonly to: number;
  readonly size: number;
}

/**
 * Makes texts in the form of the pattern, with a random hexadecimal digit for each `x`, many at a time. The digits come
 * from one call of the runtime, and are moved to their places up to eight at a time, because a loop over single digits
 * takes longer than all the rest.
 */
export class RandomTextPool {
  /** The length of one text. */
  readonly length: number;
  /** The current texts, one after another. New ones get new memory, so that what refers to these bytes stays valid. */
  bytes: Buffer = Buffer.alloc(0);
  readonly #template: Buffer;
  readonly #random: Buffer;
  readonly #digits: Buffer;
  readonly #digitsOfText: number;
  readonly #moves: readonly DigitMove[];
  readonly #fill: FillRandom;
  #at = 0;

  constructor(pattern: string, fill: FillRandom) {
    this.length = pattern.length;
    this.#template = Buffer.from(pattern.repeat(madeTogether));
    this.#moves = movesOf(pattern);
    this.#digitsOfText = this.#moves.reduce((sum, { size }) => sum + size, 0);
    this.#random = Buffer.alloc(Math.ceil((madeTogether * this.#digitsOfText) / 2));
    this.#digits = Buffer.alloc(this.#random.length * 2);
    this.#fill = fill;
  }

  /** Where the next text begins in {@link bytes}. 0 if the bytes are new. */
  next(): number {
    if (this.#at >= this.bytes.length) {
      this.#refill();
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + this.length;
    return at;
  }

  #refill(): void {
    this.#fill(this.#random);
    this.#digits.write(this.#random.toString("hex"), "latin1");
    const bytes = Buffer.from(this.#template);
    const source = new DataView(this.#digits.buffer, this.#digits.byteOffset, this.#digits.length);
    const target = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const move of this.#moves) {
      if (move.size === 8) this.#moveEight(move, source, target);
      else if (move.size === 4) this.#moveFour(move, source, target);
      else this.#moveOne(move, source, target);
    }
    this.bytes = bytes;
  }

  // A function for each size, because V8 compiles a loop of one kind of access best. Each moves digits of every text
  // from the source to the target. Digits are no NaN as a number of eight bytes, so they do not change.

  #moveEight({ from, to }: DigitMove, source: DataView, target: DataView): void {
    const [digits, letters] = [this.#digitsOfText, this.length];
    for (let text = 0; text < madeTogether; text += 1)
      target.setFloat64(text * letters + to, source.getFloat64(text * digits + from, true), true);
  }

  #moveFour({ from, to }: DigitMove, source: DataView, target: DataView): void {
    const [digits, letters] = [this.#digitsOfText, this.length];
    for (let text = 0; text < madeTogether; text += 1)
      target.setUint32(text * letters + to, source.getUint32(text * digits + from, true), true);
  }

  #moveOne({ from, to }: DigitMove, source: DataView, target: DataView): void {
    const [digits, letters] = [this.#digitsOfText, this.length];
    for (let text = 0; text < madeTogether; text += 1)
      target.setUint8(text * letters + to, source.getUint8(text * digits + from));
  }
}

function movesOf(pattern: string): DigitMove[] {
  const moves: DigitMove[] = [];
  let from = 0;
  for (const run of pattern.matchAll(/x{8}|x{4}|x/g)) {
    moves.push({ from, to: run.index, size: run[0].length });
    from += run[0].length;
  }
  return moves;
}

/**
 * Returns one text of a {@link RandomTextPool} after another. They are slices of one long text. A slice is cheap to
 * make, and cheap to copy because it is one contiguous string.
 */
export function randomTexts(pattern: string, fill: FillRandom): () => string {
  const pool = new RandomTextPool(pattern, fill);
  let texts = "";
  return () => {
    const at = pool.next();
    if (at === 0) texts = pool.bytes.toString("latin1");
    return texts.slice(at, at + pool.length);
  };
}

/** Returns one UUID of version 4 after another. */
export function randomUuids(fill: FillRandom): () => string {
  return randomTexts(uuidPattern, (bytes) => {
    fill(bytes);
    for (let from = 0; from < bytes.length; from += uuidBytes) {
      bytes[from + versionAt] = ((bytes[from + versionAt] ?? 0) & 0x0f) | version4;
      bytes[from + variantAt] = ((bytes[from + variantAt] ?? 0) & 0x3f) | variant1;
    }
  });
}
