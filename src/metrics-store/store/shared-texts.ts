import { BoundedCache, ownCopy } from "../../base/index.ts";

/**
 * The maximum number of shared texts. Beyond it, the table is emptied. Texts in use stay in memory, and later texts are
 * shared again.
 */
const maxTexts = 200_000;
/** The maximum length of a text that is shared. It bounds the memory of the table. */
export const maxSharedLength = 256;

const beyondLatin1 = /[\u{100}-\u{10ffff}]/u;

/** The memory of a text. V8 stores a text with two bytes for each character if any character is outside Latin-1. */
export function textBytes(text: string): number {
  return beyondLatin1.test(text) ? text.length * 2 : text.length;
}

/** Keeps equal texts only once in memory. The labels of series repeat a few values thousands of times. */
export class SharedTexts {
  readonly #texts = new BoundedCache<string, string>(maxTexts);

  of(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const copy = ownCopy(text);
    if (copy.length <= maxSharedLength) this.#texts.set(copy, copy);
    return copy;
  }
}
