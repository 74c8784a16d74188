/** The text, or its first `maxCharacters` UTF-16 code units with an ellipsis. Never ends in half of a character. */
export function truncated(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const isSplit = /[\uD800-\uDBFF]$/.test(text.slice(0, maxCharacters));
  return `${text.slice(0, isSplit ? maxCharacters - 1 : maxCharacters)}…`;
}

/**
 * A noun with its indefinite article: `a Pod`, `an IstioOperator`, `an HTTPRoute`. An abbreviation at its beginning is
 * spelled out when it is spoken.
 */
export function withArticle(noun: string): string {
  const isAbbreviation = /^[A-Z](?:[A-Z]|$)/.test(noun);
  const soundsLikeVowel = isAbbreviation ? /^[AEFHILMNORSX]/ : /^(?:[aeio]|u(?!ni|s[aei]|rl))/i;
  return `${soundsLikeVowel.test(noun) ? "an" : "a"} ${noun}`;
}
