// The part of ASN.1's DER that certificate requests and certificates need. A value is represented by its bytes,
// including tag and length.

export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function der(tagByte: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tagByte, ...lengthBytes(body.length)]), body]);
}

export function sequence(...content: readonly Uint8Array[]): Buffer {
  return der(tag.sequence, ...content);
}

export function integer(bytes: Uint8Array): Buffer {
  // A leading 1 bit would make the number negative.
  return (bytes[0] ?? 0) & 0x80 ? der(tag.integer, Buffer.from([0]), bytes) : der(tag.integer, bytes);
}

export function bitString(bytes: Uint8Array): Buffer {
  return der(tag.bitString, Buffer.from([0]), bytes);
}

/** Encodes dotted numbers: `1.2.840.10045.4.3.2`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(tag.objectIdentifier, Buffer.from(bytes));
}

/** UTCTime until 2049 and GeneralizedTime later, as X.509 requires. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  if (digits < "2050") return der(tag.utcTime, Buffer.from(`${digits.slice(2)}Z`));
  return der(tag.generalizedTime, Buffer.from(`${digits}Z`));
}

/** Splits the content of a constructed value. Each part keeps its tag and length. Throws on truncated input. */
export function children(value: Buffer): Buffer[] {
  const [start, end] = bodyOf(value, 0);
  const pieces: Buffer[] = [];
  for (let at = start; at < end;) {
    const [, next] = bodyOf(value, at);
    pieces.push(value.subarray(at, next));
    at = next;
  }
  return pieces;
}

/** The bytes of a value without tag and length. */
export function content(value: Buffer): Buffer {
  const [start, end] = bodyOf(value, 0);
  return value.subarray(start, end);
}

function bodyOf(bytes: Buffer, at: number): [start: number, end: number] {
  const first = bytes[at + 1] ?? 0;
  const count = first & 0x80 ? first & 0x7f : 0;
  if (count > 4 || at + 2 + count > bytes.length) throw new RangeError("DER is cut off or too long");
  const length = count === 0 ? first : bytes.readUIntBE(at + 2, count);
  const start = at + 2 + count;
  if (start + length > bytes.length) throw new RangeError("DER is cut off");
  return [start, start + length];
}

function lengthBytes(length: number): number[] {
  if (length < 128) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left & 0xff);
  return [0x80 | bytes.length, ...bytes];
}

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes
    .toString("base64")
    .replace(/(.{64})/g, "$1\n")
    .trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** The first block of a PEM text. */
export function unpem(text: string): Buffer {
  const match = /-----BEGIN [^-]+-----([^-]+)-----END/.exec(text);
  return Buffer.from(match?.[1] ?? "", "base64");
}

/** Each block of a PEM text, with its markers. */
export function pemBlocks(text: string): string[] {
  return [...text.matchAll(/-----BEGIN ([^-]+)-----[^-]+-----END \1-----/g)].map((match) => `${match[0]}\n`);
}
