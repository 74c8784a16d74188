/** Invisible and direction-changing characters. Joiners are not included, because scripts need them. */
const unseen = /(?![\t\n])[\p{Cc}\u061C\u200B\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/gu;

/** Replaces each of them by its name, such as `⟨U+202E⟩`, so that the user sees the whole change in its real order. */
export function seenText(text: string): string {
  return text.replaceAll(unseen, (letter) => `⟨U+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
