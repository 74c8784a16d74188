import { Socket, type SocketConstructorOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import { invariant, SerinError } from "../base/index.ts";
import {
  contentType,
  maxProtectedBytes,
  maxRecordsOfKey,
  recordHeaderBytes,
  secretOf,
  suiteOf,
} from "../wire/tls13/index.ts";
import type { ByteStream } from "./byte-stream.ts";
import type { JsStreamHandle, ShutdownRequest, WriteRequest } from "./libuv-binding.ts";
import { Opener, Sealer } from "./record-cipher.ts";
import { RecordStream } from "./record-stream.ts";

export { describeRecordLayer, recordLayer, recordMemory } from "./record-layer.ts";

const noBytes = Buffer.alloc(0);

/**
 * A TLS handshake that Node's TLS performs on a connection in memory. The records pass through this object one by one,
 * so at the end of the handshake it knows exactly which records Node's TLS has read and written. A {@link RecordStream}
 * continues with the next ones.
 */
export class RecordHandshake {
  /** The socket on which Node's TLS runs. */
  readonly socket: Socket;
  readonly #stream: ByteStream;
  readonly #handle: JsStreamHandle;
  #secured: TLSSocket | undefined;
  #isServer = false;
  #clientSecret: Buffer | undefined;
  #serverSecret: Buffer | undefined;
  /** Received bytes that Node's TLS does not have yet: an incomplete record, or what follows the handshake. */
  #received: Buffer = noBytes;
  #pending: WriteRequest[] = [];
  #isPumpScheduled = false;
  /** The records that Node's TLS has written since it got the last received record. */
  #written: Buffer[] = [];
  #result: RecordStream | undefined;
  /** Whether Node's TLS wants to read. */
  #isFlowing = false;
  #phase: "before" | "handshake" | "passing on" | "over" = "before";
  #hasRoom = true;
  #whenRoom: (() => void) | undefined;
  /** Whether the stream has ended. Node's TLS may still write an answer, but nobody reads it. */
  #hasEnded = false;

  constructor(stream: ByteStream, handle: JsStreamHandle) {
    this.#stream = stream;
    this.#handle = handle;
    handle.onreadstart = () => this.#flow(true);
    handle.onreadstop = () => this.#flow(false);
    handle.isClosing = () => false;
    handle.onwrite = (request, chunks) => this.#write(request, chunks);
    handle.onshutdown = (request) => this.#shutDown(request);
    handle.close = (done) => {
      if (this.#phase !== "over") stream.destroy();
      if (done !== undefined) setImmediate(done);
    };
    // `handle` and `manualStart` are internal options of Node, which its types lack.
    this.socket = new Socket({ handle, allowHalfOpen: true, manualStart: true } as unknown as SocketConstructorOpts);
  }

  /** Starts the handshake. `received` was already read from the stream. */
  begin(secured: TLSSocket, isServer: boolean, received: Buffer | undefined): void {
    this.#secured = secured;
    this.#isServer = isServer;
    secured.on("keylog", (line: Buffer) => {
      this.#clientSecret ??= secretOf(line, "CLIENT_TRAFFIC_SECRET_0");
      this.#serverSecret ??= secretOf(line, "SERVER_TRAFFIC_SECRET_0");
      line.fill(0);
    });
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => {
        if (!secured.destroyed) this.#handle.emitEOF();
      },
      drain: () => {
        this.#hasRoom = true;
        this.#pump();
        if (!this.#hasRoom) return;
        const whenRoom = this.#whenRoom;
        this.#whenRoom = undefined;
        whenRoom?.();
      },
      close: (error) => void secured.destroy(asOfNode(error)),
    });
    // Wait for the end of this turn of the event loop. Node's TLS is ready then.
    process.nextTick(() => {
      this.#phase = "handshake";
      if (received !== undefined && received.length > 0) this.#read(received);
      if (this.#isFlowing && !this.#isOver()) this.#stream.resume();
    });
  }

  /**
   * Takes the connection over from Node's TLS. Call it inside the event that ends the handshake. `recordsOfKey` limits
   * the use of one key. Undefined if this code does not support the connection's TLS version or cipher.
   */
  secured(title: string, recordsOfKey = maxRecordsOfKey): RecordStream | undefined {
    const suite = this.#secured?.getProtocol() === "TLSv1.3" ? suiteOf(this.#secured.getCipher().name) : undefined;
    const own = this.#isServer ? this.#serverSecret : this.#clientSecret;
    const peers = this.#isServer ? this.#clientSecret : this.#serverSecret;
    if (suite === undefined || suite.cipher === "chacha20-poly1305" || own === undefined || peers === undefined) {
      this.#phase = "passing on";
      return undefined;
    }
    const isServer = this.#isServer;
    const sealer = new Sealer(suite, own, recordsOfKey);
    const opener = new Opener(suite, peers);
    own.fill(0);
    peers.fill(0);
    this.#result = new RecordStream(this.#stream, { sealer, opener, isServer, title });
    return this.#result;
  }

  #isOver(): boolean {
    return this.#phase === "over" || this.#secured?.destroyed !== false;
  }

  #flow(isFlowing: boolean): number {
    this.#isFlowing = isFlowing;
    if (this.#phase === "before" || this.#isOver()) return 0;
    if (isFlowing) this.#stream.resume();
    else this.#stream.pause();
    return 0;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#received, chunk]);
    this.#received = noBytes;
    this.#pump();
    let at = 0;
    while (this.#result === undefined && !this.#isOver()) {
      const next = endOfRecord(bytes, at);
      if (next === undefined) break;
      this.#written = [];
      this.#handle.readBuffer(bytes.subarray(at, next));
      this.#pump();
      at = next;
    }
    this.#received = bytes.subarray(at);
    if (this.#result !== undefined && this.#phase === "handshake") this.#handOver(this.#result);
  }

  #handOver(result: RecordStream): void {
    this.#phase = "over";
    this.#stream.pause();
    // Count the session tickets of a server, which are its first records under the new key. A client has written none.
    result.begin(this.#received, this.#isServer ? recordsIn(Buffer.concat(this.#written)) : 0);
    this.#received = noBytes;
    this.#written = [];
    const secured = this.#secured;
    // Destroy it later, because it is still inside its event.
    setImmediate(() =>
      secured
        ?.removeAllListeners()
        .on("error", () => undefined)
        .destroy(),
    );
  }

  #write(request: WriteRequest, chunks: readonly Buffer[]): number {
    this.#pending.push(request);
    if (!this.#isPumpScheduled) {
      this.#isPumpScheduled = true;
      queueMicrotask(() => {
        this.#isPumpScheduled = false;
        this.#pump();
      });
    }
    if (this.#phase === "over" || this.#hasEnded) return 0;
    const bytes = Buffer.concat(chunks);
    this.#written.push(bytes);
    if (!this.#stream.write(bytes)) this.#hasRoom = false;
    return 0;
  }

  /**
   * Sends the end that Node's TLS has written. It must be sent before the request completes, because Node's TLS may
   * close the connection then.
   */
  #shutDown(request: ShutdownRequest): number {
    const done = (): void => {
      if (this.#phase === "passing on") {
        this.#hasEnded = true;
        this.#stream.end();
      }
      setImmediate(() => this.#handle.finishShutdown(request, 0));
    };
    if (this.#phase === "passing on" && !this.#hasRoom) this.#whenRoom = done;
    else done();
    return 0;
  }

  /** Tells Node's TLS that its writes are complete, so that it writes on. */
  #pump(): void {
    // During the handshake, keep the records, because their number is needed at its end. They are few.
    if (this.#phase === "passing on") {
      this.#written = [];
      if (!this.#hasRoom) return;
    }
    for (let request = this.#pending.shift(); request !== undefined; request = this.#pending.shift())
      this.#handle.finishWrite(request, 0);
  }
}

function recordsIn(bytes: Buffer): number {
  let records = 0;
  let at = 0;
  for (; at + recordHeaderBytes <= bytes.length; at += recordHeaderBytes + bytes.readUInt16BE(at + 3)) records += 1;
  invariant(at === bytes.length, "Node's TLS writes whole records");
  return records;
}

/**
 * The end of the record that begins at `at`. Undefined if the record is incomplete. If the bytes cannot be a record, it
 * is the end of all bytes, so that Node's TLS gets them and refuses them.
 */
function endOfRecord(bytes: Buffer, at: number): number | undefined {
  const left = bytes.length - at;
  if (left === 0) return undefined;
  const type = bytes[at] ?? 0;
  if (type < contentType.changeCipherSpec || type > contentType.applicationData) return bytes.length;
  if (left < recordHeaderBytes) return undefined;
  const length = bytes.readUInt16BE(at + 3);
  if (length > maxProtectedBytes) return bytes.length;
  return left < recordHeaderBytes + length ? undefined : at + recordHeaderBytes + length;
}

/** Converts an error of the stream below to the form in which Node's sockets report errors. */
function asOfNode(error: Error | undefined): Error | undefined {
  if (!(error instanceof SerinError) || error.reason === undefined) return error;
  return Object.assign(new Error(error.message, { cause: error }), { code: error.reason });
}
