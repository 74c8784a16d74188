/**
 * Characters that are invisible or change the direction of text. Joiners are not among them, because some writing
 * systems need them.
 */
const disguises = "\\u061C\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060\\u2066-\\u2069\\uFEFF";
const disguised = new RegExp(`[${disguises}]`, "u");
const unseen = new RegExp(`(?![\\t\\n])[\\p{Cc}${disguises}]`, "gu");

/**
 * Replaces each invisible or direction-changing character with its name, such as `⟨U+202E⟩`, so that the user sees the
 * whole text in its real order.
 */
export function seenText(text: string): string {
  return text.replaceAll(unseen, nameOf);
}

/**
 * Does what {@link seenText} does, in all texts of a JSON document. JSON has already escaped the control characters.
 */
export function seenJson(json: string): string {
  return disguised.test(json) ? json.replaceAll(unseen, nameOf) : json;
}

function nameOf(letter: string): string {
  return `⟨U+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
