/**
 * The text without any of these characters at its end. A regular expression such as `/\/+$/` would take minutes for a
 * run of a megabyte inside the text, because it tries to match from each character of the run.
 */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1] ?? "")) end -= 1;
  return text.slice(0, end);
}
