const wide = /[\u0100-\uffff]/;
const wideRuns = /[\u0100-\uffff]+/g;
const beyondAscii = /[\u0080-\uffff]/;

/**
 * A text as a head's bytes can say it, a byte a character: what is beyond Latin-1 is said in UTF-8. Cut down to its low byte, a
 * letter such as U+010A would be the end of a line, and what follows it a field of its own.
 */
export function headText(text: string): string {
  return wide.test(text) ? text.replaceAll(wideRuns, (run) => Buffer.from(run).toString("latin1")) : text;
}

/** A text that did not come from a head, whole in UTF-8, a byte a character. */
export function utf8HeadText(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text).toString("latin1") : text;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** What a text of a head's bytes says where letters are wanted: they are UTF-8, if they can be, else Latin-1. */
export function textOfHead(text: string): string {
  if (!beyondAscii.test(text) || wide.test(text)) return text;
  try {
    return strictUtf8.decode(Buffer.from(text, "latin1"));
  } catch {
    return text;
  }
}
