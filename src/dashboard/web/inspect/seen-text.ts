/** Letters that are not seen, and those that turn round what is; joiners are left, which scripts need. */
const unseen = /(?![\t\n])[\p{Cc}\u061C\u200B\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/gu;

/** The text with each of them named, as `⟨U+202E⟩`: who approves a change must see all of it, in the order in which it is written. */
export function seenText(text: string): string {
  return text.replaceAll(unseen, (letter) => `⟨U+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
