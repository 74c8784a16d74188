/** The text, or its first `maxCharacters` UTF-16 code units with an ellipsis. Never ends in half of a character. */
export function truncated(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const isSplit = /[\uD800-\uDBFF]$/.test(text.slice(0, maxCharacters));
  return `${text.slice(0, isSplit ? maxCharacters - 1 : maxCharacters)}…`;
}
