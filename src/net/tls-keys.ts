import { createHmac } from "node:crypto";
import { labelBlock, nonceBytes, type Suite } from "../wire/tls13/index.ts";

/** What protects the records of one direction. */
export interface TrafficKey {
  readonly key: Buffer;
  readonly iv: Buffer;
}

/** HKDF-Expand-Label of RFC 8446 with an empty context, for at most one block of the suite's hash. */
function expandLabel(suite: Suite, secret: Buffer, label: Parameters<typeof labelBlock>[0], length: number): Buffer {
  return createHmac(suite.hash, secret).update(labelBlock(label, length)).digest().subarray(0, length);
}

export function trafficKeyOf(suite: Suite, secret: Buffer): TrafficKey {
  return {
    key: expandLabel(suite, secret, "key", suite.keyBytes),
    iv: expandLabel(suite, secret, "iv", nonceBytes),
  };
}

/** The secret of a direction after its key was changed (RFC 8446, section 7.2). */
export function nextSecretOf(suite: Suite, secret: Buffer): Buffer {
  return expandLabel(suite, secret, "traffic upd", secret.length);
}
