import type { Random } from "../../src/base/random.ts";

const interesting = [0, 1, 2, 3, 4, 7, 8, 9, 10, 13, 15, 16, 31, 32, 63, 64, 100, 127, 128, 192, 254, 255];
const interestingWords = [0, 1, 255, 256, 32_767, 32_768, 65_535, 65_536, 0x7fffffff, 0x80000000, 0xffffffff];
const maxStacked = 6;

/** Derives inputs from inputs: flips, inserts, removes, repeats and splices bytes, and adds words of the format. */
export class Mutator {
  readonly #random: Random;
  readonly #words: readonly Buffer[];
  readonly #maxBytes: number;

  constructor(random: Random, words: readonly Buffer[], maxBytes: number) {
    this.#random = random;
    this.#words = words;
    this.#maxBytes = maxBytes;
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  mutate(base: Buffer, corpus: readonly Buffer[]): Buffer {
    let input: Buffer = Buffer.from(base);
    for (let left = 1 + this.below(maxStacked); left > 0; left -= 1) input = this.#change(input, corpus);
    return input.length > this.#maxBytes ? input.subarray(0, this.#maxBytes) : input;
  }

  #change(input: Buffer, corpus: readonly Buffer[]): Buffer {
    const at = this.below(input.length + 1);
    const length = 1 + this.below(Math.min(32, input.length + 1));
    switch (input.length === 0 ? 4 + this.below(3) : this.below(12)) {
      case 0:
        input[at] = (input[at] ?? 0) ^ (1 << this.below(8));
        return input;
      case 1:
        input[at] = interesting[this.below(interesting.length)] ?? 0;
        return input;
      case 2:
        input[at] = ((input[at] ?? 0) + this.below(35) - 17) & 255;
        return input;
      case 3:
        return this.#number(input, at);
      case 4:
        return spliced(input, at, 0, Buffer.from(Array.from({ length }, () => this.below(256))));
      case 5:
      case 6:
        return spliced(input, at, 0, this.#word());
      case 7: {
        const word = this.#word();
        return spliced(input, at, word.length, word);
      }
      case 8:
        return spliced(input, at, this.below(4) === 0 ? this.below(input.length + 1) : length, Buffer.alloc(0));
      case 9: {
        const from = this.below(input.length);
        return spliced(input, at, 0, input.subarray(from, from + length));
      }
      case 10: {
        // Repeats a piece many times, which produces deep nesting and great length.
        const from = this.below(input.length);
        const piece = input.subarray(from, from + 1 + this.below(8));
        return spliced(input, at, 0, Buffer.concat(Array.from({ length: 1 << this.below(8) }, () => piece)));
      }
      default: {
        const other = corpus[this.below(corpus.length)] ?? input;
        const from = this.below(other.length);
        return this.below(2) === 0
          ? Buffer.concat([input.subarray(0, at), other.subarray(from)])
          : spliced(input, at, 0, other.subarray(from, from + length));
      }
    }
  }

  #word(): Buffer {
    return this.#words[this.below(this.#words.length)] ?? Buffer.from([this.below(256)]);
  }

  #number(input: Buffer, at: number): Buffer {
    const value = interestingWords[this.below(interestingWords.length)] ?? 0;
    const bytes = Buffer.alloc(4);
    if (this.below(2) === 0) bytes.writeUInt32BE(value);
    else bytes.writeUInt32LE(value);
    const width = [1, 2, 4][this.below(3)] ?? 4;
    return spliced(input, at, width, this.below(2) === 0 ? bytes.subarray(4 - width) : bytes.subarray(0, width));
  }
}

function spliced(input: Buffer, at: number, removed: number, added: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), added, input.subarray(Math.min(input.length, at + removed))]);
}

/** Returns the words of a format: texts, and numbers as digits and as one, two or four bytes in both byte orders. */
export function dictionaryOf(words: Iterable<string>, numbers: Iterable<number>): Buffer[] {
  const found = new Map<string, Buffer>();
  const add = (bytes: Buffer): void => void found.set(bytes.toString("latin1"), bytes);
  for (const word of words) add(Buffer.from(word, "utf8"));
  for (const number of numbers) {
    if (!Number.isInteger(number) || number < 0 || number > 0xffffffff) continue;
    add(Buffer.from(String(number)));
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(number);
    const width = number < 256 ? 1 : number < 65_536 ? 2 : 4;
    add(bytes.subarray(4 - width));
    add(Buffer.from(bytes.subarray(4 - width)).reverse());
  }
  return [...found.values()];
}
