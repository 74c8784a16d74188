/** What nearly all requests of the delta protocol say: that a response was taken. */
export interface Acknowledgement {
  readonly typeUrl: string;
  readonly nonce: string;
}

/** Of `envoy.service.discovery.v3.DeltaDiscoveryRequest`; both are length-delimited. */
const typeUrlTag = (2 << 3) | 2;
const nonceTag = (6 << 3) | 2;
/** A length of one byte ends here; longer fields are for the whole decoder. */
const longLength = 128;

/**
 * Reads a DeltaDiscoveryRequest that holds a type and a nonce and nothing else, without decoding all that it could hold.
 * Undefined for any other, also for one that is malformed: the whole decoder has the last word.
 */
export function readAcknowledgement(request: Uint8Array): Acknowledgement | undefined {
  const bytes = Buffer.isBuffer(request) ? request : Buffer.from(request.buffer, request.byteOffset, request.length);
  let typeUrl = "";
  let nonce = "";
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at];
    const length = bytes[at + 1] ?? longLength;
    const [start, end] = [at + 2, at + 2 + length];
    if (length >= longLength || end > bytes.length || !isPrintableAscii(bytes, start, end)) return undefined;
    if (tag === typeUrlTag) typeUrl = bytes.toString("latin1", start, end);
    else if (tag === nonceTag) nonce = bytes.toString("latin1", start, end);
    else return undefined;
    at = end;
  }
  return typeUrl === "" || nonce === "" ? undefined : { typeUrl, nonce };
}

function isPrintableAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}
