import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { countersName, instrument } from "./instrument.ts";

const maxBlocks = 1 << 17;
/** Our sources, and the packages that parse untrusted bytes for us. */
const covered = [
  "src/",
  "node_modules/@bufbuild/cel/",
  "node_modules/@bufbuild/protobuf/dist/esm/from-",
  "node_modules/@bufbuild/protobuf/dist/esm/wire/",
  "node_modules/@lezer/lr/",
  "node_modules/dns-packet/",
  "node_modules/jose/",
  "node_modules/ws/lib/",
  "node_modules/yaml/dist/",
].map((path) => fileURLToPath(new URL(`../../${path}`, import.meta.url)));

/**
 * Counts how often the blocks of covered modules run, and finds counts that no earlier input reached. It groups counts
 * into eight classes: 1, 2, 3, up to 7, up to 15, up to 31, up to 127, and more.
 */
export class Coverage {
  readonly words = new Set<string>();
  readonly numbers = new Set<number>();
  readonly #counters = new Uint8Array(maxBlocks);
  /** The counters as 32-bit words. Most are 0, so this skips four at a time. */
  readonly #fours = new Uint32Array(this.#counters.buffer);
  /** The classes of counts that each block has reached, one bit each. */
  readonly #seen = new Uint8Array(maxBlocks);
  #blocks = 0;

  /** Counts every covered module that this thread loads from now on. */
  install(): void {
    Object.assign(globalThis, { [countersName]: this.#counters });
    registerHooks({
      load: (url, context, nextLoad) => {
        const file = url.startsWith("file:") ? fileURLToPath(url) : "";
        if (!covered.some((prefix) => file.startsWith(prefix)) || !/\.[cm]?[jt]s$/.test(file))
          return nextLoad(url, context);
        const { format } = nextLoad(url, context);
        return { format, source: this.#instrumented(file), shortCircuit: true };
      },
    });
  }

  #instrumented(file: string): string {
    const { text, blocks, words, numbers } = instrument(readFileSync(file, "utf8"), file, this.#blocks);
    this.#blocks += blocks;
    if (this.#blocks > maxBlocks) throw new Error(`more than ${maxBlocks} blocks are covered; cover fewer folders`);
    for (const word of words) this.words.add(word);
    for (const number of numbers) this.numbers.add(number);
    return text;
  }

  get blocks(): number {
    return this.#blocks;
  }

  get reached(): number {
    let reached = 0;
    for (let block = 0; block < this.#blocks; block += 1) if (this.#seen[block] !== 0) reached += 1;
    return reached;
  }

  begin(): void {
    this.#counters.fill(0, 0, this.#blocks);
  }

  /** Counts the blocks that reached a class of counts for the first time, and remembers these classes. */
  takeNew(): number {
    let found = 0;
    const counters = this.#counters;
    for (let four = 0; four * 4 < this.#blocks; four += 1) {
      if (this.#fours[four] === 0) continue;
      for (let block = four * 4; block < four * 4 + 4; block += 1) {
        const bit = bitOf(counters[block] ?? 0);
        const seen = this.#seen[block] ?? 0;
        if ((seen & bit) === bit) continue;
        this.#seen[block] = seen | bit;
        found += 1;
      }
    }
    return found;
  }

  /** Returns one number for each block that ran and the class of its count. */
  features(): Uint32Array {
    const features: number[] = [];
    for (let block = 0; block < this.#blocks; block += 1) {
      const bit = bitOf(this.#counters[block] ?? 0);
      if (bit !== 0) features.push(block * 256 + bit);
    }
    return Uint32Array.from(features);
  }
}

function bitOf(count: number): number {
  if (count <= 3) return (1 << count) >> 1;
  if (count < 8) return 8;
  if (count < 16) return 16;
  if (count < 32) return 32;
  return count < 128 ? 64 : 128;
}
