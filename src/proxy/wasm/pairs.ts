import { maxPairs } from "./limits.ts";

/** Header fields with names in lower case. A value has one character for each byte. */
export type Pairs = readonly (readonly [name: string, value: string])[];

const noBytes = Buffer.alloc(0);

export function serializePairs(pairs: Pairs): Buffer {
  if (pairs.length === 0) return noBytes;
  const bytes = Buffer.alloc(serializedSize(pairs));
  bytes.writeUInt32LE(pairs.length, 0);
  let at = 4;
  for (const [name, value] of pairs) {
    bytes.writeUInt32LE(name.length, at);
    bytes.writeUInt32LE(value.length, at + 4);
    at += 8;
  }
  for (const [name, value] of pairs) {
    at += bytes.write(name, at, "latin1") + 1;
    at += bytes.write(value, at, "latin1") + 1;
  }
  return bytes;
}

export function serializedSize(pairs: Pairs): number {
  return pairs.reduce((sum, [name, value]) => sum + 8 + name.length + 1 + value.length + 1, 4);
}

const fieldName = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Whether a module may write a header with this name (lower case). */
export function isFieldName(name: string): boolean {
  return fieldName.test(name);
}

/**
 * Puts a value on one line. A receiver would read what follows a line break as another header or message. An error
 * instead would end a module whose SDK expects none, so that one request could stop the module for everyone.
 */
export function onOneLine(value: string): string {
  return value.replaceAll(/[\r\n\0]/g, "");
}

/**
 * Decodes a map of headers from the form of the ABI. Leaves out names that a header may not have. Returns undefined if
 * the bytes are not a map.
 */
export function parsePairs(bytes: Buffer): (readonly [name: string, value: string])[] | undefined {
  if (bytes.length < 4) return [];
  const count = bytes.readUInt32LE(0);
  if (count > maxPairs || 4 + count * 8 > bytes.length) return undefined;
  const pairs: (readonly [string, string])[] = [];
  let at = 4 + count * 8;
  const text = (length: number): string | undefined => {
    const end = at + length;
    if (end >= bytes.length || bytes[end] !== 0) return undefined;
    const found = bytes.toString("latin1", at, end);
    at = end + 1;
    return found;
  };
  for (let index = 0; index < count; index += 1) {
    const name = text(bytes.readUInt32LE(4 + index * 8));
    const value = name === undefined ? undefined : text(bytes.readUInt32LE(8 + index * 8));
    if (name === undefined || value === undefined) return undefined;
    const lower = name.toLowerCase();
    if (isFieldName(lower)) pairs.push([lower, onOneLine(value)]);
  }
  return pairs;
}
