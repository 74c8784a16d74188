export type ClientHello =
  | { readonly kind: "incomplete" }
  | { readonly kind: "not-tls" }
  | { readonly kind: "tls"; readonly serverName: string; readonly alpnProtocols: readonly string[] };

/** The maximum length of a ClientHello. A connection with a longer one is not treated as TLS. */
export const maxClientHelloBytes = 16_384;

const recordHeaderBytes = 5;
const messageHeaderBytes = 4;
const handshakeRecord = 22;
const clientHelloMessage = 1;
const serverNameExtension = 0;
const alpnExtension = 16;
/**
 * The maximum length of a server name (RFC 6066). Like BoringSSL, refuse longer names, empty ones, and names with a
 * zero byte.
 */
const maxServerNameBytes = 255;

const incomplete: ClientHello = { kind: "incomplete" };
const notTls: ClientHello = { kind: "not-tls" };

/** Reads the server name and the offered protocols at the start of a TLS connection, without cryptography. */
export function parseClientHello(bytes: Buffer): ClientHello {
  if (bytes.length === 0) return incomplete;
  if (bytes[0] !== handshakeRecord || (bytes.length > 1 && bytes[1] !== 3)) return notTls;
  const message = handshakeBytes(bytes);
  if (message === "bad") return notTls;
  if (message.length < messageHeaderBytes)
    return message.length > 0 && message[0] !== clientHelloMessage ? notTls : incomplete;
  if (message[0] !== clientHelloMessage) return notTls;
  const length = message.readUIntBE(1, 3);
  if (length > maxClientHelloBytes) return notTls;
  if (message.length < messageHeaderBytes + length) return bytes.length >= maxClientHelloBytes ? notTls : incomplete;
  return readBody(new Reader(message.subarray(messageHeaderBytes, messageHeaderBytes + length)));
}

/**
 * The handshake bytes in the records so far. The last record may be incomplete. Records after the first message are not
 * read: the result must not depend on how many bytes happen to have arrived.
 */
function handshakeBytes(bytes: Buffer): Buffer | "bad" {
  const parts: Buffer[] = [];
  let at = 0;
  let held = 0;
  let wanted = maxClientHelloBytes;
  while (held < wanted && at + recordHeaderBytes <= bytes.length) {
    if (bytes[at] !== handshakeRecord) return at === 0 ? "bad" : Buffer.concat(parts);
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > maxClientHelloBytes) return "bad";
    const part = bytes.subarray(at + recordHeaderBytes, at + recordHeaderBytes + length);
    parts.push(part);
    at += recordHeaderBytes + length;
    held += part.length;
    if (held >= messageHeaderBytes && wanted === maxClientHelloBytes)
      wanted = messageHeaderBytes + Buffer.concat(parts).readUIntBE(1, 3);
  }
  return parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts);
}

function readBody(reader: Reader): ClientHello {
  reader.skip(2 + 32);
  reader.skip(reader.uint8());
  reader.skip(reader.uint16());
  reader.skip(reader.uint8());
  let serverName: string | undefined;
  let alpnProtocols: readonly string[] | undefined;
  const extensions = reader.left >= 2 ? reader.take(reader.uint16()) : new Reader(Buffer.alloc(0));
  while (extensions.left >= 4) {
    const type = extensions.uint16();
    const data = extensions.take(extensions.uint16());
    // Refuse a second server name: the TLS server and the code that chooses the destination could read different ones.
    if (type === serverNameExtension && serverName !== undefined) return notTls;
    if (type === alpnExtension && alpnProtocols !== undefined) return notTls;
    if (type === serverNameExtension) serverName = readServerName(data);
    else if (type === alpnExtension) alpnProtocols = readProtocols(data);
    if (data.bad) return notTls;
  }
  return reader.bad || extensions.bad
    ? notTls
    : { kind: "tls", serverName: serverName ?? "", alpnProtocols: alpnProtocols ?? [] };
}

/** Reads the one name in the extension. No library accepts more than one. */
function readServerName(data: Reader): string {
  const list = data.take(data.uint16());
  const type = list.uint8();
  const name = list.take(list.uint16()).rest();
  if (
    list.bad ||
    list.left > 0 ||
    type !== 0 ||
    name.length === 0 ||
    name.length > maxServerNameBytes ||
    name.includes(0)
  )
    data.bad = true;
  return name.toString("latin1").toLowerCase();
}

function readProtocols(data: Reader): string[] {
  const list = data.take(data.uint16());
  const protocols: string[] = [];
  while (list.left >= 1) protocols.push(list.take(list.uint8()).rest().toString("latin1"));
  if (list.bad) data.bad = true;
  return protocols;
}

/** Reads within bounds. A read beyond them returns nothing and sets `bad`. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  bad = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  skip(count: number): void {
    if (count > this.left) this.bad = true;
    this.#at = Math.min(this.#bytes.length, this.#at + count);
  }

  uint8(): number {
    const value = this.#bytes[this.#at] ?? 0;
    this.skip(1);
    return value;
  }

  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }

  take(count: number): Reader {
    const start = this.#at;
    this.skip(count);
    return new Reader(this.#bytes.subarray(start, this.#at));
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }
}
