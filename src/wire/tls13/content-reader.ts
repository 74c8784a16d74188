import { alertCode, contentType, maxContentBytes, PeerAlertError, RecordError } from "./constants.ts";

const handshakeType = { newSessionTicket: 4, keyUpdate: 24 } as const;
const handshakeHeaderBytes = 4;

/** How many records without application data a peer may send in a row: tickets, changes of its key, empty records. */
const maxIdleRecords = 32;
/** So many bytes of application data allow one more such record. */
const bytesOfIdleRecord = 16_384;

/** What the owner of a connection must do because of a record. */
export interface ContentReaderPort {
  /**
   * Called when the peer's next record has its next key. With `wantsAnswer`, the peer asks us to change our key too.
   */
  keyUpdated(wantsAnswer: boolean): void;
}

/**
 * Reads the contents of decrypted records after the handshake (RFC 8446, sections 4.6, 5.4 and 6). After it has thrown
 * a {@link RecordError} or a {@link PeerAlertError}, it must not be used.
 */
export class ContentReader {
  readonly #isServer: boolean;
  readonly #port: ContentReaderPort;
  #idleRecords = 0;
  #paidBytes = 0;
  /**
   * The received part of a handshake message's header, and how many bytes are missing from the body of a message that
   * we ignore.
   */
  #header = 0;
  #headerBytes = 0;
  #bodyLeft = 0;
  /** Whether the peer has sent close_notify. All later bytes must be ignored. */
  hasEnded = false;

  constructor(isServer: boolean, port: ContentReaderPort) {
    this.#isServer = isServer;
    this.#port = port;
  }

  /**
   * Reads the content of a record, which its type and padding follow. Returns how many bytes of application data are at
   * the beginning.
   */
  read(bytes: Uint8Array, from: number, to: number): number {
    if (to - from > maxContentBytes + 1)
      throw new RecordError(alertCode.recordOverflow, "a record contains more than 16 kB");
    let end = to - 1;
    while (end >= from && bytes[end] === 0) end -= 1;
    if (end < from) throw new RecordError(alertCode.unexpectedMessage, "a record has no content type");
    const type = bytes[end] ?? 0;
    if (type === contentType.applicationData) {
      this.#requireWholeMessage();
      if (end > from) this.#progress(end - from);
      else this.#idle();
      return end - from;
    }
    this.#idle();
    if (type === contentType.alert) this.#alert(bytes, from, end);
    else if (type === contentType.handshake) this.#handshake(bytes, from, end);
    else throw new RecordError(alertCode.unexpectedMessage, `a protected record has the content type ${type}`);
    return 0;
  }

  #progress(bytes: number): void {
    if (this.#idleRecords === 0) return;
    this.#paidBytes += bytes;
    if (this.#paidBytes < bytesOfIdleRecord) return;
    this.#paidBytes = 0;
    this.#idleRecords -= 1;
  }

  #idle(): void {
    this.#idleRecords += 1;
    if (this.#idleRecords > maxIdleRecords)
      throw new RecordError(alertCode.unexpectedMessage, "too many records carry no application data");
  }

  /**
   * Throws an error if a handshake message is incomplete, because no other record may come between its parts (section
   * 5.1).
   */
  #requireWholeMessage(): void {
    if (this.#headerBytes > 0 || this.#bodyLeft > 0)
      throw new RecordError(alertCode.unexpectedMessage, "a handshake message was interrupted");
  }

  #alert(bytes: Uint8Array, from: number, end: number): void {
    this.#requireWholeMessage();
    if (end - from !== 2) throw new RecordError(alertCode.unexpectedMessage, "an alert does not have two bytes");
    const code = bytes[from + 1] ?? 0;
    if (code === alertCode.closeNotify) this.hasEnded = true;
    // `user_canceled` only announces a close_notify (section 6.1). Any other alert is an error, whatever its level.
    else if (code !== alertCode.userCanceled) throw new PeerAlertError(code);
  }

  #handshake(bytes: Uint8Array, from: number, end: number): void {
    if (end === from) throw new RecordError(alertCode.unexpectedMessage, "a handshake record is empty");
    for (let at = from; at < end;) {
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, end - at);
        this.#bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const byte = bytes[at] ?? 0;
      at += 1;
      if (this.#headerBytes < handshakeHeaderBytes) this.#headerByte(byte);
      else {
        this.#headerBytes = 0;
        this.#keyUpdate(byte, at === end);
      }
    }
  }

  #headerByte(byte: number): void {
    this.#header = (this.#headerBytes === 0 ? 0 : this.#header * 256) + byte;
    this.#headerBytes += 1;
    if (this.#headerBytes < handshakeHeaderBytes) return;
    const type = Math.floor(this.#header / 2 ** 24);
    const length = this.#header % 2 ** 24;
    if (type === handshakeType.keyUpdate) {
      // A KeyUpdate has a body of one byte.
      if (length !== 1) throw new RecordError(alertCode.decodeError, `a KeyUpdate has ${length} bytes`);
    } else if (type === handshakeType.newSessionTicket && !this.#isServer) {
      this.#bodyLeft = length;
      this.#headerBytes = 0;
    } else throw new RecordError(alertCode.unexpectedMessage, `a handshake message of type ${type} is not expected`);
  }

  #keyUpdate(request: number, isLast: boolean): void {
    // The bytes after a KeyUpdate have another key, so the record must end here (section 5.1).
    if (!isLast) throw new RecordError(alertCode.unexpectedMessage, "bytes follow a KeyUpdate in its record");
    if (request > 1) throw new RecordError(alertCode.illegalParameter, `a KeyUpdate asks for ${request}`);
    this.#port.keyUpdated(request === 1);
  }
}

/** The message with which we change our key, without asking the peer to change its own (section 4.6.3). */
export const keyUpdateContent: Uint8Array = Uint8Array.of(handshakeType.keyUpdate, 0, 0, 1, 0);
