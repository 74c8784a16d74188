import { contentType } from "./constants.ts";

/**
 * What HMAC needs for the first block of HKDF-Expand-Label with an empty context (RFC 8446, section 7.1; RFC 5869,
 * section 2.3). The first block suffices, because no key of TLS 1.3 is longer than a block of its hash.
 */
export function labelBlock(label: "key" | "iv" | "traffic upd", length: number): Buffer {
  const name = `tls13 ${label}`;
  return Buffer.from([length >> 8, length, name.length, ...Buffer.from(name), 0, 1]);
}

export type SecretLabel = "CLIENT_TRAFFIC_SECRET_0" | "SERVER_TRAFFIC_SECRET_0";

/**
 * The secret in a line of a key log. Undefined if the line has another label. A line has a label, the client's random
 * and the secret, the last two in hex. The secret is never made a string, because strings cannot be erased.
 */
export function secretOf(line: Buffer, label: SecretLabel): Buffer | undefined {
  if (line.toString("latin1", 0, label.length + 1) !== `${label} `) return undefined;
  let end = line.length;
  while (end > 0 && digitOf(line[end - 1]) < 0) end -= 1;
  const start = line.lastIndexOf(0x20, end - 1) + 1;
  if (start <= label.length + 1 || end <= start || (end - start) % 2 !== 0) return undefined;
  const secret = Buffer.alloc((end - start) / 2);
  for (let at = 0; at < secret.length; at += 1) {
    const high = digitOf(line[start + 2 * at]);
    const low = digitOf(line[start + 2 * at + 1]);
    if (high < 0 || low < 0) return undefined;
    secret[at] = (high << 4) | low;
  }
  return secret;
}

function digitOf(character = 0): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Writes the header of a protected record (section 5.2). `length` is the length of the protected part. */
export function putRecordHeader(target: Uint8Array, at: number, length: number): void {
  target[at] = contentType.applicationData;
  target[at + 1] = 3;
  target[at + 2] = 3;
  target[at + 3] = length >> 8;
  target[at + 4] = length;
}

/** Writes a record's nonce: the record's 64-bit number, combined with the key's own nonce (section 5.3). */
export function putNonce(target: Uint8Array, at: number, iv: Uint8Array, sequence: number): void {
  const high = Math.floor(sequence / 2 ** 32);
  target[at] = iv[0] ?? 0;
  target[at + 1] = iv[1] ?? 0;
  target[at + 2] = iv[2] ?? 0;
  target[at + 3] = iv[3] ?? 0;
  target[at + 4] = (iv[4] ?? 0) ^ (high >>> 24);
  target[at + 5] = (iv[5] ?? 0) ^ (high >>> 16);
  target[at + 6] = (iv[6] ?? 0) ^ (high >>> 8);
  target[at + 7] = (iv[7] ?? 0) ^ high;
  target[at + 8] = (iv[8] ?? 0) ^ (sequence >>> 24);
  target[at + 9] = (iv[9] ?? 0) ^ (sequence >>> 16);
  target[at + 10] = (iv[10] ?? 0) ^ (sequence >>> 8);
  target[at + 11] = (iv[11] ?? 0) ^ sequence;
}
