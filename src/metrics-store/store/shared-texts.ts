import { BoundedCache, ownCopy } from "../../base/index.ts";

/**
 * The maximum number of shared texts. Beyond it, all texts are forgotten together. Texts in use keep their memory, and
 * new texts are shared again.
 */
const maxTexts = 200_000;
/** The maximum length of a shared text, so that the shared ones have a bounded size. */
export const maxSharedLength = 256;

const beyondLatin1 = /[\u{100}-\u{10ffff}]/u;

/** The memory of a text. If a text has any character outside Latin-1, V8 keeps it with two bytes for each character. */
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
