import { hash } from "node:crypto";
import { labelBlock, nonceBytes, type Suite } from "../wire/tls13/index.ts";

/** The key and the nonces' base of one direction. */
export interface TrafficKey {
  readonly key: Buffer;
  readonly iv: Buffer;
}

const blockBytes: Readonly<Record<Suite["hash"], number>> = { sha256: 64, sha384: 128 };
const innerPad = 0x36;
const outerPad = 0x5c;

/**
 * HMAC (RFC 2104) with a key of at most one block. `createHmac` takes ten times as long, because it makes a key object.
 */
function hmac(algorithm: Suite["hash"], key: Buffer, data: Buffer): Buffer {
  const length = blockBytes[algorithm];
  const padded = (pad: number, rest: Buffer): Buffer => {
    const bytes = Buffer.alloc(length + rest.length, pad);
    for (const [at, byte] of key.entries()) bytes[at] = byte ^ pad;
    rest.copy(bytes, length);
    const digest = hash(algorithm, bytes, "buffer");
    bytes.fill(0);
    return digest;
  };
  return padded(outerPad, padded(innerPad, data));
}

/** HKDF-Expand-Label of RFC 8446 with an empty context. The result is at most one block of the suite's hash. */
function expandLabel(suite: Suite, secret: Buffer, label: Parameters<typeof labelBlock>[0], length: number): Buffer {
  return hmac(suite.hash, secret, labelBlock(label, length)).subarray(0, length);
}

export function trafficKeyOf(suite: Suite, secret: Buffer): TrafficKey {
  return {
    key: expandLabel(suite, secret, "key", suite.keyBytes),
    iv: expandLabel(suite, secret, "iv", nonceBytes),
  };
}

/** The secret of a direction after a change of its key (RFC 8446, section 7.2). */
export function nextSecretOf(suite: Suite, secret: Buffer): Buffer {
  return expandLabel(suite, secret, "traffic upd", secret.length);
}
