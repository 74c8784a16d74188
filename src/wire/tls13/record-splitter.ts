import { alertCode, contentType, maxProtectedBytes, RecordError, recordHeaderBytes, tagBytes } from "./constants.ts";

/** Memory for the longest record. */
export const maxRecordBytes = recordHeaderBytes + maxProtectedBytes;

/**
 * Receives whole records. The bytes are valid only during the call. `length` is the length of the record's protected
 * part.
 */
export interface RecordVisitor {
  /** Returns whether further records are wanted. */
  record(bytes: Buffer, at: number, length: number): boolean;
}

/**
 * Splits the bytes of a connection into protected records (RFC 8446, section 5.2). It keeps one incomplete record, of
 * at most {@link maxRecordBytes}. After it has thrown a {@link RecordError}, it must not be used.
 */
export class RecordSplitter {
  readonly #visitor: RecordVisitor;
  /** Gives memory of {@link maxRecordBytes}, and takes it back when no record is incomplete. */
  readonly #memory: { take(): Buffer; giveBack(bytes: Buffer): void };
  #kept: Buffer | undefined;
  #keptBytes = 0;

  constructor(visitor: RecordVisitor, memory: { take(): Buffer; giveBack(bytes: Buffer): void }) {
    this.#visitor = visitor;
    this.#memory = memory;
  }

  /** The number of bytes of an incomplete record. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Passes on the complete records. Ignores the rest after the visitor wants no more. */
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

  /** Drops an incomplete record. */
  stop(): void {
    if (this.#kept !== undefined) this.#memory.giveBack(this.#kept);
    this.#kept = undefined;
    this.#keptBytes = 0;
  }

  /**
   * Completes the record whose beginning came in earlier chunks. Returns how many bytes of the chunk it took, or -1 if
   * no more are wanted.
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
    // If the visitor throws or stops the splitter, {@link stop} gives the memory back.
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
 * The length of the record that begins here. After the handshake every record is protected, and has the outer type of
 * application data. Its version is ignored (section 5.2).
 */
function protectedLength(bytes: Buffer, at: number): number {
  const type = bytes[at] ?? 0;
  if (type !== contentType.applicationData)
    throw new RecordError(alertCode.unexpectedMessage, `a record of type ${type} is not protected`);
  const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
  if (length > maxProtectedBytes)
    throw new RecordError(alertCode.recordOverflow, `a record of ${length} bytes is too long`);
  // A record contains at least a tag and the type.
  if (length <= tagBytes) throw new RecordError(alertCode.badRecordMac, `a record of ${length} bytes is too short`);
  return length;
}
