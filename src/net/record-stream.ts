import { contained, containing, transientError, type SerinError } from "../base/index.ts";
import {
  alertCode,
  ContentReader,
  contentType,
  keyUpdateContent,
  maxContentBytes,
  PeerAlertError,
  RecordError,
  RecordSplitter,
  tagBytes,
  type ContentReaderPort,
  type RecordVisitor,
} from "../wire/tls13/index.ts";
import type { ByteStream, ByteStreamHandler, SocketAddress } from "./byte-stream.ts";
import type { StreamAbove } from "./handle-stream.ts";
import { deliver, ReadBuffer, readBufferTiers, usualReadTier } from "./read-buffer.ts";
import { sealedBytes, type Opener, type Sealer } from "./record-cipher.ts";
import { giveBackSealedMemory, incompleteRecords, maxContentOfWrite, takeSealedMemory } from "./record-memory.ts";
import { tlsFault } from "./node-error.ts";

const fatal = 2;
/** The maximum number of records in one write, including one that announces a change of the key. */
const maxRecordsOfWrite = maxContentOfWrite / maxContentBytes + 1;

export interface RecordStreamOptions {
  readonly sealer: Sealer;
  readonly opener: Opener;
  readonly isServer: boolean;
  /** The error messages of the connection begin with it. */
  readonly title: string;
}

/**
 * A TLS 1.3 connection after its handshake, whose records Serin's own code encrypts and decrypts. All records of a read
 * together cost one call of the handler, and those of a write one system call, without copies. It owns the stream
 * below.
 */
export class RecordStream implements StreamAbove, RecordVisitor, ContentReaderPort {
  readonly #below: ByteStream;
  readonly #sealer: Sealer;
  readonly #opener: Opener;
  readonly #title: string;
  readonly #splitter: RecordSplitter;
  readonly #content: ContentReader;
  readonly #data = (chunk: Buffer): void => this.#handler?.data(chunk);
  #handler: ByteStreamHandler | undefined;
  /** Bytes that arrived together with the end of the handshake. */
  #first: Buffer | undefined;
  #isPaused = true;
  #isReading = false;
  #isScheduled = false;
  /** The memory into which a read decrypts contents, and how much of it is filled. */
  #opened: ReadBuffer | undefined;
  #filled = 0;
  /** Contents that were decrypted before the stream was paused. They come from at most one read. */
  #early: Buffer[] = [];
  #isEndTold = false;
  #hasEnded = false;
  /** Whether the last write returned false, so that the writer waits for `drain`. */
  #saidNo = false;
  #owesKeyUpdate = false;
  /** Memory that the stream below may still read. */
  #lent: Buffer[] = [];
  #fault: SerinError | undefined;
  /** Whether {@link destroy} was called. After it, only `close` is called. */
  #isDestroyed = false;
  #closed: { readonly error: Error | undefined } | undefined;
  /** Called before the handler's `close`. */
  whenClosed: (() => void) | undefined;
  receivedBytes = 0;
  sentBytes = 0;

  constructor(below: ByteStream, options: RecordStreamOptions) {
    this.#below = below;
    this.#sealer = options.sealer;
    this.#opener = options.opener;
    this.#title = options.title;
    this.#splitter = new RecordSplitter(this, incompleteRecords);
    this.#content = new ContentReader(options.isServer, this);
  }

  /**
   * Takes over the stream below, which must be paused. `first` was read from it after the handshake. `written` is how
   * many records were already written to it under our key.
   */
  begin(first: Buffer, written: number): void {
    this.#sealer.sequence = written;
    if (first.length > 0) this.#first = first;
    this.#below.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#belowEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#belowClosed(error),
    });
  }

  setHandler(handler: ByteStreamHandler): void {
    this.#handler = handler;
    const closed = this.#closed;
    if (closed !== undefined) queueMicrotask(() => containing(() => handler.close(closed.error)));
  }

  get local(): SocketAddress {
    return this.#below.local;
  }
  get remote(): SocketAddress {
    return this.#below.remote;
  }
  get fd(): number {
    return this.#below.fd;
  }
  get bufferedBytes(): number {
    return this.#below.bufferedBytes;
  }
  get below(): ByteStream {
    return this.#below;
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#below.pause();
  }

  resume(): void {
    if (!this.#isPaused || this.#isOver()) return;
    this.#isPaused = false;
    if (!this.#isReading) this.#proceedLater();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver() || this.#hasEnded) return false;
    this.sentBytes += bytes.length;
    if (this.#owesKeyUpdate) this.#changeKey();
    const hasRoom = this.#seal(bytes, contentType.applicationData);
    if (!hasRoom) this.#saidNo = true;
    return hasRoom;
  }

  end(): void {
    if (this.#hasEnded || this.#isOver()) return;
    this.#seal(Uint8Array.of(1, alertCode.closeNotify), contentType.alert);
    this.#hasEnded = true;
    this.#below.end();
    this.#closeIfDone();
  }

  destroy(options: { readonly error?: Error; readonly reset?: boolean } = {}): void {
    this.#isDestroyed = true;
    this.#below.destroy(options);
  }

  // ---- Reading

  #read(chunk: Buffer): void {
    if (this.#isOver() || this.#content.hasEnded) return;
    const all = this.#splitter.keptBytes + chunk.length;
    let tier = 0;
    while (tier < usualReadTier && all > (readBufferTiers[tier] ?? 0)) tier += 1;
    this.#opened = ReadBuffer.take(tier);
    this.#isReading = true;
    try {
      this.#splitter.push(chunk);
      this.#deliver();
    } catch (error) {
      if (!(error instanceof RecordError || error instanceof PeerAlertError)) throw error;
      // The contents before the faulty record are authentic, so deliver them.
      this.#deliver();
      this.#fail(error);
    } finally {
      this.#isReading = false;
      this.#opened.disown();
      this.#opened = undefined;
      this.#filled = 0;
    }
    if (this.#owesKeyUpdate && this.#below.bufferedBytes === 0) this.#changeKey();
    this.#proceed();
  }

  record(bytes: Buffer, at: number, length: number): boolean {
    const size = length - tagBytes;
    let buffer = this.#opened;
    if (buffer === undefined || this.#isOver()) return false;
    if (buffer.area.length - this.#filled < size) {
      this.#deliver();
      if (this.#isOver()) return false;
      buffer = this.#nextMemory(buffer);
    }
    const opened = this.#opener.open(bytes, at, length, buffer.area, this.#filled);
    if (opened < 0) throw new RecordError(alertCode.badRecordMac, "a record is not authentic");
    this.#filled += this.#content.read(buffer.area, this.#filled, this.#filled + opened);
    return !this.#content.hasEnded;
  }

  keyUpdated(wantsAnswer: boolean): void {
    this.#opener.changeKey();
    // Change our own key once, with the next record, however often the peer has asked for it (RFC 8446, section 4.6.3).
    if (wantsAnswer && !this.#hasEnded) this.#owesKeyUpdate = true;
  }

  #deliver(): void {
    const buffer = this.#opened;
    const length = this.#filled;
    if (buffer === undefined || length === 0 || this.#isOver()) return;
    this.#filled = 0;
    this.receivedBytes += length;
    const chunk = buffer.area.subarray(0, length);
    if (this.#isPaused || this.#early.length > 0) this.#early.push(Buffer.from(chunk));
    else deliver(buffer, 0, chunk, this.#data);
  }

  #nextMemory(buffer: ReadBuffer): ReadBuffer {
    if (!buffer.held) return buffer;
    buffer.disown();
    const next = ReadBuffer.take(buffer.tier);
    this.#opened = next;
    return next;
  }

  #proceedLater(): void {
    if (this.#first === undefined && this.#early.length === 0 && !this.#content.hasEnded) return this.#below.resume();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      try {
        this.#proceed();
      } catch (error) {
        this.#below.destroy({ error: contained(error), reset: true });
      }
    });
  }

  /** Delivers the contents that wait, and reads on. */
  #proceed(): void {
    if (this.#isPaused || this.#isOver()) return;
    const first = this.#first;
    if (first !== undefined) {
      this.#first = undefined;
      return this.#read(first);
    }
    this.#isReading = true;
    while (!this.#isPaused && !this.#isOver()) {
      const chunk = this.#early.shift();
      if (chunk === undefined) break;
      this.#handler?.data(chunk);
    }
    this.#isReading = false;
    if (this.#isPaused || this.#isOver()) return;
    if (this.#content.hasEnded) this.#tellEnd();
    this.#below.resume();
  }

  #tellEnd(): void {
    if (this.#isEndTold) return;
    this.#isEndTold = true;
    this.#handler?.end();
    this.#closeIfDone();
  }

  /**
   * Without a close_notify before it, the end of the stream below is a fault. That end itself is not authentic, so
   * bytes may be missing.
   */
  #belowEnded(): void {
    if (this.#content.hasEnded || this.#isOver()) return;
    this.#failBy(
      transientError("connection-closed", `${this.#title}: the peer closed the connection without an end of TLS`),
    );
  }

  // ---- Writing

  /** Writes a content as records. Returns whether the stream below has room for more. */
  #seal(bytes: Uint8Array, type: number): boolean {
    let hasRoom = true;
    for (let at = 0; at < bytes.length;) {
      const to = Math.min(bytes.length, at + maxContentOfWrite);
      if (this.#sealer.recordsLeft <= maxRecordsOfWrite && type === contentType.applicationData) this.#changeKey();
      hasRoom = this.#sealPiece(bytes, at, to, type);
      at = to;
    }
    return hasRoom;
  }

  #sealPiece(bytes: Uint8Array, from: number, to: number, type: number): boolean {
    if (this.#lent.length > 0) this.#reclaim();
    const size = sealedBytes(to - from);
    // If the record must wait, allocate exactly what it needs, because it holds the memory until the peer reads it.
    const memory = this.#below.bufferedBytes > 0 ? Buffer.allocUnsafeSlow(size) : takeSealedMemory(size);
    const length = this.#sealer.seal(bytes, from, to, memory, type);
    const hasRoom = this.#below.write(memory.subarray(0, length));
    if (this.#below.bufferedBytes > 0) this.#lent.push(memory);
    else giveBackSealedMemory(memory);
    return hasRoom;
  }

  /** Announces our next key, and changes to it. */
  #changeKey(): void {
    this.#owesKeyUpdate = false;
    if (this.#hasEnded || this.#isOver()) return;
    this.#sealPiece(keyUpdateContent, 0, keyUpdateContent.length, contentType.handshake);
    this.#sealer.changeKey();
  }

  #reclaim(): void {
    if (this.#below.bufferedBytes > 0) return;
    for (const memory of this.#lent) giveBackSealedMemory(memory);
    this.#lent.length = 0;
  }

  #drained(): void {
    this.#reclaim();
    if (this.#owesKeyUpdate) this.#changeKey();
    if (!this.#saidNo || this.#isOver()) return;
    this.#saidNo = false;
    this.#handler?.drain();
  }

  // ---- Ending

  #isOver(): boolean {
    return this.#closed !== undefined || this.#fault !== undefined || this.#isDestroyed;
  }

  /**
   * Closes the connection when both sides have ended. Nothing can follow, so it does not wait for the end of the stream
   * below.
   */
  #closeIfDone(): void {
    if (this.#isEndTold && this.#hasEnded && this.#below.bufferedBytes === 0) this.#below.destroy();
  }

  #fail(error: RecordError | PeerAlertError): void {
    if (this.#isOver()) return;
    if (error instanceof RecordError && !this.#hasEnded)
      this.#seal(Uint8Array.of(fatal, error.alert), contentType.alert);
    this.#failBy(transientError("tls-failed", `${this.#title}: ${error.message}`, { cause: error }));
  }

  #failBy(fault: SerinError): void {
    this.#fault = tlsFault(fault);
    this.#below.destroy({ error: fault });
  }

  #belowClosed(error: Error | undefined): void {
    if (this.#closed !== undefined) return;
    const reason = this.#fault ?? error;
    this.#closed = { error: reason };
    // Drop the lent memory instead of using it again, because the kernel may still read it.
    this.#lent = [];
    this.#early = [];
    this.#first = undefined;
    this.#splitter.stop();
    this.#sealer.free();
    this.#opener.free();
    this.whenClosed?.();
    this.#handler?.close(reason);
  }
}
