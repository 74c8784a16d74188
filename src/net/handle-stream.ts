import { contained, containing, internalError, invariant, type Clock } from "../base/index.ts";
import { unmapIp } from "../wire/netlink/index.ts";
import type { ByteStream, ByteStreamHandler, SocketAddress } from "./byte-stream.ts";
import { partsAfter, writeFramedNow, type FramedBytes } from "./framed-write.ts";
import { uvEndOfFile, type LibuvBinding, type NameOut, type StreamHandle, type WriteRequest } from "./libuv-binding.ts";
import { uvError } from "./node-error.ts";
import {
  deliver,
  expandFront,
  LargeReader,
  largeBuffers,
  messageReadTier,
  ReadBuffer,
  readBufferOf,
  readBufferTiers,
  usualReadTier,
} from "./read-buffer.ts";

/** The maximum number of queued bytes. A stream with more is closed, because its writer ignores back pressure. */
const maxBufferedBytes = 64 << 20;
/**
 * The number of queued bytes above which a write to a TLS stream returns false. TLS copies what is written, so the
 * queued bytes take memory in addition to the writer's own.
 */
const tlsHighWaterBytes = 128 << 10;
/** The largest TLS record. Bytes in a buffer with less room than this are delivered, so that the next record fits. */
const tlsRecordBytes = 16_384;
const fullReadsToGrow = 2;
const smallReadsToShrink = 16;

const noAddress: SocketAddress = { address: "", port: 0 };
const noBuffers: readonly ReadBuffer[] = [];

export interface HandleBacking {
  readonly handle: StreamHandle;
  /**
   * Whether it is a TLS handle. It may deliver records even while it is paused. Records that it delivers in one turn of
   * the event loop are joined.
   */
  readonly tls: boolean;
  name(which: "local" | "remote", out: NameOut): number;
  /** Ends this side at once if no write waits. If it returns false, libuv must do it. */
  sendEnd?(): boolean;
  /** Closes the handle and those below it. `done` is not called during this call. */
  close(reset: boolean, done: () => void): void;
}

interface QueuedWrite {
  readonly bytes: Uint8Array;
  readonly buffer: ReadBuffer | undefined;
}

/** A free write request. Most writes to TCP complete at once, and leave their request free for the next write. */
let spareRequest: WriteRequest | undefined;

export class HandleStream implements ByteStream {
  readonly #binding: LibuvBinding;
  readonly #backing: HandleBacking;
  readonly #handle: StreamHandle;
  #handler: ByteStreamHandler | undefined;
  readonly #data = (chunk: Buffer): void => this.#handler?.data(chunk);

  #state: "open" | "closing" | "detached" = "open";
  #endSuccessor: (() => void) | undefined;
  /** Set after the handler's `close` was called. */
  #closed: { readonly error: Error | undefined } | undefined;
  #buffer: ReadBuffer | undefined;
  /** Set after the stream has first read into a large buffer. */
  #large: LargeReader | undefined;
  #deliveredUpTo = 0;
  #filledUpTo = 0;
  #fullReads = 0;
  #smallReads = 0;
  /** The index of the largest of {@link readBufferTiers} that reads may use. */
  maxReadTier: number = usualReadTier;
  #flushScheduled = false;
  #paused = true;
  #readEnded = false;
  /**
   * What is delivered before further reads: bytes that TLS has decrypted while the stream was paused, and bytes that
   * were put back.
   */
  #early: Buffer[] = [];
  #earlyEnd = false;
  #earlyScheduled = false;

  /** The request of the current write, and requests of earlier TLS writes to be used again. */
  #inFlight: WriteRequest | undefined;
  #completed: WriteRequest | undefined;
  #reusable: WriteRequest | undefined;
  #inFlightBytes = 0;
  #inFlightBuffers: readonly ReadBuffer[] = noBuffers;
  #queue: QueuedWrite[] = [];
  #queuedBytes = 0;
  #saidNo = false;
  #ending = false;
  #writeEnded = false;

  #local: SocketAddress | undefined;
  #remote: SocketAddress | undefined;
  /** Whether the addresses may be read after the stream has closed. */
  keepsAddresses = true;
  receivedBytes = 0;
  sentBytes = 0;

  constructor(binding: LibuvBinding, backing: HandleBacking) {
    this.#binding = binding;
    this.#backing = backing;
    this.#handle = backing.handle;
    if (backing.tls) this.#installReader();
  }

  setHandler(handler: ByteStreamHandler): void {
    this.#handler = handler;
    const closed = this.#closed;
    if (closed !== undefined) queueMicrotask(() => containing(() => handler.close(closed.error)));
  }

  get local(): SocketAddress {
    this.#local ??= this.#name("local");
    return this.#local ?? noAddress;
  }
  get remote(): SocketAddress {
    this.#remote ??= this.#name("remote");
    return this.#remote ?? noAddress;
  }
  get fd(): number {
    return this.#state === "open" ? this.#handle.fd : -1;
  }
  get bufferedBytes(): number {
    return this.#inFlightBytes + this.#queuedBytes;
  }
  /** Whether a write copies the bytes before it returns. */
  get copiesWrites(): boolean {
    return this.#backing.tls;
  }

  /**
   * Takes the peer's address from the stream below. Otherwise it would be lost when the peer resets the connection,
   * because the kernel forgets it then, even while the peer's bytes still wait.
   */
  takePeerOf({ remote }: ByteStream): void {
    if (remote.address !== "") this.#remote = remote;
  }

  /** Hands the handle over, for example to a TLS handshake. After that, only {@link destroy} may be called. */
  detach(): StreamHandle {
    invariant(
      this.#state === "open" && this.#paused && this.bufferedBytes === 0,
      "only an idle, paused stream can be handed on",
    );
    this.#state = "detached";
    this.#disownBuffer();
    return this.#handle;
  }

  /** Names what {@link destroy} must call, because the handle has another user now. Call it after {@link detach}. */
  handedOn(end: () => void): void {
    this.#endSuccessor = end;
  }

  /** Puts bytes back, so that they are delivered before all others. The stream must be paused. */
  unread(bytes: Buffer): void {
    if (this.#state === "open") this.#early.unshift(bytes);
  }

  resume(): void {
    if (!this.#paused || this.#state !== "open") return;
    this.#paused = false;
    if (this.#early.length > 0 || this.#earlyEnd) this.#scheduleEarly();
    else this.#startReading();
  }

  pause(): void {
    if (this.#paused || this.#state !== "open") return;
    this.#paused = true;
    this.#handle.readStop();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "open") return false;
    invariant(!this.#ending, "a stream was written to after its end");
    this.sentBytes += bytes.length;
    if (bytes.length === 0) return !this.#saidNo;
    if (this.#inFlightBytes > 0) return this.#enqueue(bytes);
    const request = this.#nextRequest();
    const status = this.#handle.writeBuffer(request, bytes);
    if (status !== 0) {
      this.#notSent(bytes.length, status);
      return false;
    }
    if (!this.#binding.lastWriteWasAsync()) return true;
    // Keep the bytes for TCP, which still reads them. TLS has copied and encrypted them.
    if (this.#backing.tls) this.#awaitWrite(request, bytes.length, noBuffers);
    else {
      request.chunks = [bytes];
      this.#awaitWrite(request, bytes.length, held(bytes));
    }
    return this.#room();
  }

  /** Writes all chunks as {@link write} does, but with one system call. TCP copies nothing. */
  writeAll(chunks: readonly Uint8Array[]): boolean {
    if (this.#state !== "open") return false;
    invariant(!this.#ending, "a stream was written to after its end");
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    this.sentBytes += length;
    if (length === 0) return !this.#saidNo;
    if (this.#inFlightBytes > 0) {
      let room = false;
      for (const chunk of chunks) room = this.#enqueue(chunk);
      return room;
    }
    const request = this.#nextRequest();
    const status = this.#handle.writev(request, chunks, true);
    if (status !== 0) {
      this.#notSent(length, status);
      return false;
    }
    if (!this.#binding.lastWriteWasAsync()) return true;
    if (this.#backing.tls) this.#awaitWrite(request, length, noBuffers);
    else {
      request.chunks = chunks;
      this.#awaitWrite(request, length, chunks.flatMap(held));
    }
    return this.#room();
  }

  writeFramed(framed: FramedBytes): boolean {
    if (this.#state !== "open") return false;
    invariant(!this.#ending, "a stream was written to after its end");
    const written = this.#backing.tls || this.#inFlightBytes > 0 ? 0 : writeFramedNow(this.#handle.fd, framed);
    this.sentBytes += written;
    return written === framed.heads.length + framed.body.length || this.writeAll(partsAfter(framed, written));
  }

  end(): void {
    if (this.#state !== "open" || this.#ending) return;
    this.#ending = true;
    if (this.bufferedBytes === 0) this.#shutDown();
  }

  destroy(options: { readonly error?: Error; readonly reset?: boolean } = {}): void {
    if (this.#state === "detached") this.#endSuccessor?.();
    else this.#close(options.error, options.reset === true);
  }

  /** To be called when the transport below has failed or closed. */
  transportClosed(error: Error | undefined): void {
    this.#close(error, false);
  }

  #room(): boolean {
    if (this.#backing.tls && this.bufferedBytes < tlsHighWaterBytes) return true;
    this.#saidNo = true;
    return false;
  }

  #enqueue(bytes: Uint8Array): boolean {
    const buffer = readBufferOf(bytes);
    buffer?.hold();
    this.#queue.push({ bytes, buffer });
    this.#queuedBytes += bytes.length;
    if (this.bufferedBytes > maxBufferedBytes) {
      this.#close(
        internalError("unexpected", `more than ${maxBufferedBytes} bytes wait for a peer that does not read`),
        true,
      );
      return false;
    }
    return this.#room();
  }

  /** The request for the next write. A request is used again after its write has completed at once. */
  #nextRequest(): WriteRequest {
    if (!this.#backing.tls) return (spareRequest ??= this.#binding.newWriteRequest());
    if (this.#reusable === undefined) {
      this.#reusable = this.#binding.newWriteRequest();
      const written = (status: number): void => this.#written(status);
      this.#reusable.oncomplete = written;
    }
    return this.#reusable;
  }

  #awaitWrite(request: WriteRequest, length: number, buffers: readonly ReadBuffer[]): void {
    this.#inFlightBytes = length;
    this.#inFlightBuffers = buffers;
    if (this.#backing.tls) {
      this.#inFlight = request;
      this.#reusable = undefined;
      return;
    }
    spareRequest = undefined;
    const written = (completion: number): void => this.#written(completion);
    request.oncomplete = written;
  }

  #written(status: number): void {
    try {
      this.#completeWrite(status);
    } catch (error) {
      this.#contain(error);
    }
  }

  #completeWrite(status: number): void {
    this.#inFlightBytes = 0;
    for (const buffer of this.#inFlightBuffers) buffer.release();
    this.#inFlightBuffers = noBuffers;
    // Keep the request of the completed TLS write, and use the one before it again. A TLS write never completes at
    // once, and its request must not be used again during its own completion.
    this.#reusable ??= this.#completed;
    this.#completed = this.#inFlight;
    this.#inFlight = undefined;
    if (this.#state !== "open") return;
    if (status !== 0) return this.#fail("write", status);
    if (this.#queue.length > 0) this.#flushQueue();
    if (this.bufferedBytes > 0 || this.#stateIs("closing")) return;
    if (this.#ending) return this.#shutDown();
    if (!this.#saidNo) return;
    this.#saidNo = false;
    this.#handler?.drain();
  }

  #flushQueue(): void {
    const queue = this.#queue;
    const length = this.#queuedBytes;
    this.#queue = [];
    this.#queuedBytes = 0;
    const request = this.#nextRequest();
    const [first] = queue;
    const chunks = queue.map((entry) => entry.bytes);
    const status =
      queue.length === 1 && first !== undefined
        ? this.#handle.writeBuffer(request, first.bytes)
        : this.#handle.writev(request, chunks, true);
    const buffers = queue.map((entry) => entry.buffer).filter((buffer) => buffer !== undefined);
    if (status === 0 && this.#binding.lastWriteWasAsync()) {
      if (!this.#backing.tls) request.chunks = chunks;
      return this.#awaitWrite(request, length, buffers);
    }
    for (const buffer of buffers) buffer.release();
    if (status !== 0) this.#notSent(length, status);
  }

  /** Called if the kernel has refused a whole write, for example because the peer has reset the connection. */
  #notSent(length: number, status: number): void {
    this.sentBytes -= length;
    this.#fail("write", status);
  }

  #shutDown(): void {
    // If both sides have ended, close at once. Closing a TCP socket also sends the FIN, and saves a system call and a
    // turn of the event loop. TLS must send its own end first.
    if (this.#readEnded && !this.#earlyEnd && !this.#backing.tls) return this.#close(undefined, false);
    // End this side directly if possible. libuv would do it in a later turn, with a request and a callback.
    if (this.#backing.sendEnd?.() === true) return this.#shutDownDone();
    const request = this.#binding.newShutdownRequest();
    const done = (): void => this.#shutDownDone();
    request.oncomplete = done;
    const status = this.#handle.shutdown(request);
    // The status is 1 if the side has already ended. Any other number means that the peer is gone, which the next read
    // reports.
    if (status !== 0) this.#shutDownDone();
  }

  #shutDownDone(): void {
    this.#writeEnded = true;
    // Wait if bytes from before the end are still to be delivered.
    if (this.#readEnded && !this.#earlyEnd) this.#close(undefined, false);
  }

  #installReader(): void {
    this.#buffer = ReadBuffer.take(0);
    this.#handle.useUserBuffer(this.#buffer.area);
    // Assign the function to a variable first. V8 would treat a function in the assignment itself as a method, and move
    // it to the old objects, where it would keep a closed stream alive until those are collected.
    const read = (): Buffer | undefined => {
      try {
        return this.#onRead();
      } catch (error) {
        this.#contain(error);
        return undefined;
      }
    };
    this.#handle.onread = read;
  }

  #startReading(): void {
    if (this.#readEnded) return;
    if (this.#buffer === undefined) this.#installReader();
    const status = this.#handle.readStart();
    if (status !== 0) this.#fail("read", status);
  }

  /** Called for each read. Returns the memory for libuv's next read if it must change. */
  #onRead(): Buffer | undefined {
    const result = this.#binding.readResult();
    const buffer = this.#buffer;
    if (this.#state !== "open" || buffer === undefined) return undefined;
    if (result === 0) return undefined;
    if (result < 0) {
      this.#deliverGathered();
      if (result === uvEndOfFile) this.#onEnd();
      else this.#fail("read", result);
      return undefined;
    }
    this.receivedBytes += result;
    this.#filledUpTo += result;
    if (this.#backing.tls && this.#gather(buffer)) return buffer.area.subarray(this.#filledUpTo);
    const lastRead = this.#filledUpTo - this.#deliveredUpTo;
    this.#deliverGathered();
    return this.#nextArea(buffer, lastRead);
  }

  /** Whether further records of this turn may join those in the buffer. */
  #gather(buffer: ReadBuffer): boolean {
    if (buffer.tier === 0 || buffer.area.length - this.#filledUpTo < tlsRecordBytes) return false;
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(() => {
        this.#flushScheduled = false;
        try {
          this.#deliverGathered();
        } catch (error) {
          this.#contain(error);
        }
      });
    }
    return true;
  }

  #deliverGathered(): void {
    const buffer = this.#buffer;
    const start = this.#deliveredUpTo;
    if (buffer === undefined || this.#state !== "open" || this.#filledUpTo === start) return;
    const chunk = buffer.area.subarray(start, this.#filledUpTo);
    this.#deliveredUpTo = this.#filledUpTo;
    if (this.#paused || this.#early.length > 0) this.#early.push(Buffer.from(chunk));
    else deliver(buffer, start, chunk, this.#data);
  }

  #nextArea(buffer: ReadBuffer, lastRead: number): Buffer | undefined {
    this.#deliveredUpTo = 0;
    this.#filledUpTo = 0;
    if (this.#stateIs("closing")) return undefined;
    const wanted = this.#nextTier(buffer, lastRead);
    if (wanted === buffer.tier && !buffer.held) {
      if (wanted > 0) this.#readLarge(wanted);
      return this.#backing.tls && wanted > 0 ? buffer.area : undefined;
    }
    this.#disownBuffer();
    const tier = largeBuffers.hasRoom(wanted) ? wanted : 0;
    this.#buffer = ReadBuffer.take(tier);
    if (tier > 0) this.#readLarge(tier);
    return this.#buffer.area;
  }

  #readLarge(tier: number): void {
    if (this.#large === undefined) {
      const giveUp = (): boolean => this.#giveUpLarge();
      this.#large = new LargeReader(giveUp);
    }
    largeBuffers.hasRead(this.#large, tier);
  }

  /** Replaces a large buffer by a small one. Returns false if bytes in it are still to be delivered. */
  #giveUpLarge(): boolean {
    const { area } = this.#buffer ?? {};
    if (area === undefined || this.#state !== "open" || this.#filledUpTo > this.#deliveredUpTo) return false;
    this.#disownBuffer();
    this.#filledUpTo = 0;
    this.#deliveredUpTo = 0;
    this.#fullReads = 0;
    this.#smallReads = 0;
    this.#buffer = ReadBuffer.take(0);
    this.#handle.useUserBuffer(this.#buffer.area);
    return true;
  }

  #disownBuffer(): void {
    this.#buffer?.disown();
    this.#buffer = undefined;
    if (this.#large !== undefined) largeBuffers.left(this.#large);
  }

  #nextTier(buffer: ReadBuffer, lastRead: number): number {
    // Avoid the index -1, for which each read into a small buffer would call V8's runtime.
    const smaller = buffer.tier === 0 ? undefined : readBufferTiers[Math.min(buffer.tier, usualReadTier) - 1];
    this.#fullReads = lastRead * 2 > buffer.area.length ? this.#fullReads + 1 : 0;
    this.#smallReads = smaller !== undefined && lastRead <= smaller / 2 ? this.#smallReads + 1 : 0;
    if (this.#fullReads >= fullReadsToGrow && buffer.tier < this.maxReadTier) {
      this.#fullReads = 0;
      return buffer.tier + 1;
    }
    if (this.#smallReads < smallReadsToShrink) return buffer.tier;
    this.#smallReads = 0;
    return buffer.tier - 1;
  }

  #onEnd(): void {
    if (this.#readEnded || this.#state !== "open") return;
    this.#readEnded = true;
    if (this.#paused || this.#early.length > 0) this.#earlyEnd = true;
    else this.#deliverEnd();
  }

  #deliverEnd(): void {
    this.#handler?.end();
    if (this.#writeEnded) this.#close(undefined, false);
  }

  #scheduleEarly(): void {
    if (this.#earlyScheduled) return;
    this.#earlyScheduled = true;
    process.nextTick(() => {
      this.#earlyScheduled = false;
      try {
        this.#deliverEarly();
      } catch (error) {
        this.#contain(error);
      }
    });
  }

  #deliverEarly(): void {
    while (!this.#paused && this.#state === "open") {
      const chunk = this.#early.shift();
      if (chunk === undefined) break;
      this.#handler?.data(chunk);
    }
    if (this.#paused || this.#state !== "open") return;
    if (this.#earlyEnd) {
      this.#earlyEnd = false;
      this.#deliverEnd();
    } else this.#startReading();
  }

  #name(which: "local" | "remote"): SocketAddress | undefined {
    if (this.#state !== "open") return undefined;
    const out: NameOut = {};
    if (this.#backing.name(which, out) !== 0 || out.address === undefined) return undefined;
    return { address: unmapIp(out.address), port: out.port ?? 0 };
  }

  #fail(operation: string, status: number): void {
    this.#close(uvError(`${operation} ${this.remote.address}:${this.remote.port}`, status), false);
  }

  /** A method, because the compiler would otherwise assume that callbacks do not change the state. */
  #stateIs(state: "open" | "closing" | "detached"): boolean {
    return this.#state === state;
  }

  #close(error: Error | undefined, reset: boolean): void {
    if (this.#state !== "open") return;
    if (this.keepsAddresses) {
      // Read the addresses now, because logs need them after the close.
      this.#local ??= this.#name("local");
      this.#remote ??= this.#name("remote");
    }
    this.#state = "closing";
    for (const { buffer } of this.#queue) buffer?.release();
    this.#queue = [];
    this.sentBytes -= this.#queuedBytes;
    this.#queuedBytes = 0;
    this.#early = [];
    this.#backing.close(reset, () => {
      this.#disownBuffer();
      this.#closed = { error };
      containing(() => this.#handler?.close(error));
    });
  }

  /** Closes the stream after an error of its reader, with a reset, because bytes may be missing. */
  #contain(error: unknown): void {
    this.#close(contained(error), true);
  }
}

/** A stream that encrypts bytes and writes them to the stream below. It does not copy them before. */
export interface StreamAbove extends ByteStream {
  readonly below: ByteStream;
}

function isAbove(stream: ByteStream): stream is StreamAbove {
  return "below" in stream;
}

function held(bytes: Uint8Array): ReadBuffer[] {
  const buffer = readBufferOf(bytes);
  if (buffer === undefined) return [];
  buffer.hold();
  return [buffer];
}

/**
 * Writes chunks in order, with one system call if the stream supports that. The result, and when the bytes may change,
 * are as for {@link ByteStream.write}.
 */
export function writeAll(stream: ByteStream, chunks: readonly Uint8Array[]): boolean {
  if (stream instanceof HandleStream) return stream.writeAll(chunks);
  let room = true;
  for (const chunk of chunks) room = stream.write(chunk);
  return room;
}

/** Writes a body in pieces, each with a head, like {@link writeAll}. */
export function writeFramed(stream: ByteStream, framed: FramedBytes): boolean {
  return stream instanceof HandleStream ? stream.writeFramed(framed) : writeAll(stream, partsAfter(framed, 0));
}

/**
 * Whether {@link writeFramed} can send these bytes without copying them. They must belong to the chunk that is being
 * delivered. The stream keeps that chunk until the kernel has accepted it.
 */
export function writesInPlace(stream: ByteStream, bytes: Uint8Array): boolean {
  return stream instanceof HandleStream && !stream.copiesWrites && readBufferOf(bytes) !== undefined;
}

/**
 * The chunk that is being delivered, with room for a header of this many bytes before it, so that one write sends both
 * from the memory of the read. Undefined if there is no room.
 */
export function withHeaderInFront(stream: ByteStream, chunk: Uint8Array, headerBytes: number): Buffer | undefined {
  return stream instanceof HandleStream || isAbove(stream) ? expandFront(chunk, headerBytes) : undefined;
}

/**
 * Makes data arrive in small chunks only, so that the stream needs no large buffer. It is for many, mostly quiet
 * connections.
 */
export function readInSmallChunks(stream: ByteStream): void {
  if (isAbove(stream)) return readInSmallChunks(stream.below);
  if (stream instanceof HandleStream) stream.maxReadTier = 0;
}

/**
 * Makes a large message arrive in as few chunks as possible, for readers of HTTP/1. It has no effect on TLS streams,
 * whose chunks are smaller.
 */
export function readLargeMessages(stream: ByteStream): void {
  if (stream instanceof HandleStream && !stream.copiesWrites) stream.maxReadTier = messageReadTier;
}

/** Saves system calls of a stream whose addresses nobody needs after its end. */
export function forgetAddresses(stream: ByteStream): void {
  if (isAbove(stream)) return forgetAddresses(stream.below);
  if (stream instanceof HandleStream) stream.keepsAddresses = false;
}

/**
 * Pauses a stream and calls `proceed` after `waitMs`, or, if that is 0, in the next turn of the event loop, when other
 * streams have been read. Reads on if `proceed` returns true.
 */
export function inLaterTurn(
  stream: ByteStream,
  { clock, waitMs }: { readonly clock: Clock; readonly waitMs: number },
  proceed: () => boolean,
): void {
  stream.pause();
  const run = (): void => {
    try {
      if (proceed()) stream.resume();
    } catch (error) {
      stream.destroy({ error: contained(error), reset: true });
    }
  };
  if (waitMs > 0) clock.after(waitMs, run);
  else setImmediate(run);
}
