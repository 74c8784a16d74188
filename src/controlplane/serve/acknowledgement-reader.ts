/** A plain ACK, as nearly all requests of the delta protocol are. */
export interface Acknowledgement {
  readonly typeUrl: string;
  readonly nonce: string;
}

/** Tags of `envoy.service.discovery.v3.DeltaDiscoveryRequest`. Both fields are length-delimited. */
const typeUrlTag = (2 << 3) | 2;
const nonceTag = (6 << 3) | 2;
/** The length from which a field's length takes more than one byte. Such requests are left to the full decoder. */
const longLength = 128;

/** Reads plain ACKs without decoding everything that a request may contain. */
export class AcknowledgementReader {
  /**
   * The type that was read last. Clients acknowledge a change with the same type, so its text is made once for all of
   * them.
   */
  #lastType = "";

  /** Reads a plain ACK. Undefined for any other request, even a malformed one, which the full decoder must judge. */
  read(request: Uint8Array): Acknowledgement | undefined {
    const bytes = Buffer.isBuffer(request) ? request : Buffer.from(request.buffer, request.byteOffset, request.length);
    let typeUrl = "";
    let nonce = "";
    let at = 0;
    while (at < bytes.length) {
      const tag = bytes[at];
      const length = bytes[at + 1] ?? longLength;
      const [start, end] = [at + 2, at + 2 + length];
      if (length >= longLength || end > bytes.length || !isPrintableAscii(bytes, start, end)) return undefined;
      if (tag === typeUrlTag) typeUrl = this.#typeAt(bytes, start, end);
      else if (tag === nonceTag) nonce = bytes.toString("latin1", start, end);
      else return undefined;
      at = end;
    }
    return typeUrl === "" || nonce === "" ? undefined : { typeUrl, nonce };
  }

  #typeAt(bytes: Buffer, start: number, end: number): string {
    if (!isText(bytes, start, end, this.#lastType)) this.#lastType = bytes.toString("latin1", start, end);
    return this.#lastType;
  }
}

function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  // Type URLs differ at their end, so begin there.
  for (let index = text.length - 1; index >= 0; index -= 1)
    if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

function isPrintableAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}
