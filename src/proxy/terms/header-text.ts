const wide = /[\u0100-\uffff]/;
const wideRuns = /[\u0100-\uffff]+/g;
const beyondAscii = /[\u0080-\uffff]/;

/**
 * Encodes a text as header bytes, one byte for each character. Characters beyond Latin-1 become UTF-8. If they were cut
 * to their low byte instead, U+010A would end the line, and the text after it would become another header.
 */
export function headText(text: string): string {
  return wide.test(text) ? text.replaceAll(wideRuns, (run) => Buffer.from(run).toString("latin1")) : text;
}

/**
 * Encodes a text as UTF-8, one character for each byte. The text must not come from a head, which has this form
 * already.
 */
export function utf8HeadText(text: string): string {
  return beyondAscii.test(text) ? Buffer.from(text).toString("latin1") : text;
}

/**
 * Encodes a header's value as a message of xDS or of a service names it: in a text or in bytes. One character for each
 * byte.
 */
export function headTextOf(value: { readonly value: string; readonly rawValue: Uint8Array } | undefined): string {
  if (value === undefined) return "";
  return value.rawValue.length === 0 ? utf8HeadText(value.value) : Buffer.from(value.rawValue).toString("latin1");
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Decodes header bytes to text: as UTF-8 if they are valid, else as Latin-1. */
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

/** Decodes header bytes for a message in protobuf. As in Envoy, each byte that is not part of UTF-8 becomes `!`. */
export function messageTextOfHead(text: string): string {
  if (!beyondAscii.test(text) || wide.test(text)) return text;
  const valid = text.replaceAll(utf8OrByte, (bytes) => (bytes.length === 1 ? "!" : bytes));
  return Buffer.from(valid, "latin1").toString();
}

/** The text without percent-encoding (RFC 3986, section 2.1), or as it is if it is not encoded, such as `100%`. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
