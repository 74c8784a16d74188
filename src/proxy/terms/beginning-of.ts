/**
 * The beginning of a text, for data that waits in memory. A longer text is copied, because a slice would keep the whole
 * text in memory.
 */
export function beginningOf(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : Buffer.from(text.slice(0, maxLength)).toString();
}
