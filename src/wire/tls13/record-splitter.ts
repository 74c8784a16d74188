import { alertCode, contentType, maxProtectedBytes, RecordError, recordHeaderBytes, tagBytes } from "./constants.ts";

export const maxRecordBytes = recordHeaderBytes + maxProtectedBytes;

/** Gets complete records. The bytes are valid only during the call. `length` is the length of the protected part. */
export interface RecordVisitor {
  /** Returns whether it wants further records. */
  record(bytes: Buffer, at: number, length: number): boolean;
}

/**
 * Splits the bytes of a connection into protected records (RFC 8446, section 5.2). It keeps at most one incomplete
 * record. After it has thrown a {@link RecordError}, it must not be used.
 */
export class RecordSplitter {
  readonly #visitor: RecordVisitor;
  /** Lends {@link maxRecordBytes} of memory while a record is incomplete. */
  readonly #memory: { take(): Buffer; giveBack(bytes: Buffer): void };
  #kept: Buffer | undefined;
  #keptBytes = 0;

  constructor(visitor: RecordVisitor, memory: { take(): Buffer; giveBack(bytes: Buffer): void }) {
    this.#visitor = visitor;
    this.#memory = memory;
  }

  /** How many bytes of an incomplete record are kept. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Passes complete records to the visitor. Drops the rest if the visitor wants no more. */
  push(chunk: Buffer): void {
    let at = 0;
    if (this.#keptBytes > 0) {
      at = this.#complete(chunk);
      if (at < 0) return;
    }
    while (chunk.length - at >= recordHeaderBytes) {
      const length = protectedLength(chunk, at);
      const next = at + recordHeaderBytes + length;
      if (next > chunk.length) break;
      if (!this.#visitor.record(chunk, at, length)) return;
      at = next;
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
  }

  /** Drops an incomplete record, and gives its memory back. */
  stop(): void {
    if (this.#kept !== undefined) this.#memory.giveBack(this.#kept);
    this.#kept = undefined;
    this.#keptBytes = 0;
  }

  /**
   * Completes the record that began in earlier chunks. Returns how many bytes of the chunk it used, or -1 if the
   * visitor wants no more records.
   */
  #complete(chunk: Buffer): number {
    let at = 0;
    if (this.#keptBytes < recordHeaderBytes) {
      at = Math.min(recordHeaderBytes - this.#keptBytes, chunk.length);
      this.#keep(chunk, 0, at);
      if (this.#keptBytes < recordHeaderBytes) return -1;
    }
    const kept = this.#kept;
    if (kept === undefined) return -1;
    const length = protectedLength(kept, 0);
    const end = Math.min(chunk.length, at + recordHeaderBytes + length - this.#keptBytes);
    this.#keep(chunk, at, end);
    if (this.#keptBytes < recordHeaderBytes + length) return -1;
    this.#keptBytes = 0;
    // If the visitor throws an error, {@link stop} gives the memory back later.
    const goesOn = this.#visitor.record(kept, 0, length);
    this.stop();
    return goesOn ? end : -1;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    this.#kept ??= this.#memory.take();
    chunk.copy(this.#kept, this.#keptBytes, from, to);
    this.#keptBytes += to - from;
    if (this.#keptBytes >= recordHeaderBytes) protectedLength(this.#kept, 0);
  }
}

/**
 * The length of the protected part of the record at `at`. After the handshake, every record is protected and looks like
 * application data. Its version is ignored (section 5.2).
 */
function protectedLength(bytes: Buffer, at: number): number {
  const type = bytes[at] ?? 0;
  if (type !== contentType.applicationData)
    throw new RecordError(alertCode.unexpectedMessage, `a record of type ${type} is not protected`);
  const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
  if (length > maxProtectedBytes)
    throw new RecordError(alertCode.recordOverflow, `a record of ${length} bytes is too long`);
  // A record has at least a tag and a type.
  if (length <= tagBytes) throw new RecordError(alertCode.badRecordMac, `a record of ${length} bytes is too short`);
  return length;
}
