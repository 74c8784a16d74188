/**
 * The text without these characters at its end. A regular expression such as `/\/+$/` would try to match from each
 * character of a run, and so take minutes for a run of a megabyte inside a text.
 */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1] ?? "")) end -= 1;
  return text.slice(0, end);
}
