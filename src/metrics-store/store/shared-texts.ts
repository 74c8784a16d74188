import { BoundedCache, ownCopy } from "../../base/index.ts";

/** The maximum number of shared texts. Beyond it, the table begins again without any. Texts in use stay in memory. */
const maxTexts = 200_000;
/** Longer texts are not shared, which limits the memory of the table. */
export const maxSharedLength = 256;

const beyondLatin1 = /[\u{100}-\u{10ffff}]/u;

/** The memory of a text. V8 needs two bytes for each character if any character is outside Latin-1. */
export function textBytes(text: string): number {
  return beyondLatin1.test(text) ? text.length * 2 : text.length;
}

/** Keeps only one copy of equal texts. Labels of series repeat a few values thousands of times. */
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
