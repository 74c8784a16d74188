import { ownCopy } from "../../base/index.ts";

/**
 * The beginning of a text, for data that waits in memory. A longer text is copied, because a slice would keep the whole
 * text in memory.
 */
export function beginningOf(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : ownCopy(text.slice(0, maxLength));
}
