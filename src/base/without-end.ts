/**
 * The text without these characters at its end. A regular expression such as `/\/+$/` would try each of a run's
 * characters as the beginning, and so take minutes for a run of a megabyte within a text.
 */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1] ?? "")) end -= 1;
  return text.slice(0, end);
}
