const wide = /[\u0100-\uffff]/;
const wideRuns = /[\u0100-\uffff]+/g;
const beyondAscii = /[\u0080-\uffff]/;

/**
 * Converts a text to header bytes, with one character for each byte. Characters beyond Latin-1 become UTF-8. If such a
 * character were cut to its low byte instead, U+010A would become a line feed, and what follows it another header.
 */
export function headText(text: string): string {
  return wide.test(text) ? text.replaceAll(wideRuns, (run) => Buffer.from(run).toString("latin1")) : text;
}

/**
 * Converts a text to UTF-8, with one character for each byte. The text must not come from a head, which already has
 * this form.
 */
export function utf8HeadText(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text).toString("latin1") : text;
}

/**
 * Converts a header's value in a message of xDS or of a service to one character for each byte. The message has it as
 * text or as bytes.
 */
export function headTextOf(value: { readonly value: string; readonly rawValue: Uint8Array } | undefined): string {
  if (value === undefined) return "";
  return value.rawValue.length === 0 ? utf8HeadText(value.value) : Buffer.from(value.rawValue).toString("latin1");
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Decodes header bytes to text: as UTF-8 if they are valid UTF-8, otherwise as Latin-1. */
export function textOfHead(text: string): string;
export function textOfHead(text: string | undefined): string | undefined;
export function textOfHead(text: string | undefined): string | undefined {
  if (text === undefined || !beyondAscii.test(text) || wide.test(text)) return text;
  try {
    return strictUtf8.decode(Buffer.from(text, "latin1"));
  } catch {
    return text;
  }
}

const utf8OrByte =
  /[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|\xed[\x80-\x9f]|[\xe1-\xec\xee\xef][\x80-\xbf])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}|[\x80-\xff]/g;

/** Decodes header bytes for a protobuf message. As in Envoy, each byte that is not part of valid UTF-8 becomes `!`. */
export function messageTextOfHead(text: string): string {
  if (!beyondAscii.test(text) || wide.test(text)) return text;
  const valid = text.replaceAll(utf8OrByte, (bytes) => (bytes.length === 1 ? "!" : bytes));
  return Buffer.from(valid, "latin1").toString();
}

/**
 * Decodes percent-encoding (RFC 3986, section 2.1). A text that is not validly encoded, such as `100%`, is returned
 * unchanged.
 */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
