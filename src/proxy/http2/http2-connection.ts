import type { Clock } from "../../base/index.ts";
import { cutOffLater, heldInput, TurnOutput, type InputHolder } from "../../dataplane/index.ts";
import { inLaterTurn, writeFramed, writesInPlace, type ByteStream, type SocketAddress } from "../../net/index.ts";
import {
  errorCode,
  errorCodeName,
  Http2Session,
  type FrameWriter,
  type Http2ConnectionError,
  type SessionPort,
} from "../../wire/http2/index.ts";
import { http2Limits } from "./http2-limits.ts";
import { Http2Stream, type StreamFailure } from "./http2-stream.ts";

export interface Http2ConnectionHandler {
  /** Called when a client has opened a stream. Must set its handler, which then gets the head. */
  opened(stream: Http2Stream): void;
  /** Called when the peer sends GOAWAY. Streams that it has processed continue to their end. */
  goaway(): void;
  /** Called when a stream has ended, or when the peer has changed its limit of streams. */
  streamsChanged(): void;
  /** Called once, as the last call. */
  closed(error: Error | undefined): void;
}

export interface Http2ConnectionOptions {
  readonly stream: ByteStream;
  readonly server: boolean;
  readonly handler: Http2ConnectionHandler;
  readonly clock: Clock;
  /** Announced as SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly maxHeaderListBytes: number;
  /**
   * The maximum number of open streams. On a server, it limits the client's streams. On a client, it limits its own, in
   * addition to the server's limit.
   */
  readonly maxStreams: number;
  /** A peer with open streams that is silent for this time gets a PING. 0 means never. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** The assumed limit of a server's streams until it announces one. */
  readonly assumedStreams?: number | undefined;
}

/** An HTTP/2 connection for requests, at either end: a session over a byte stream, bounded by {@link http2Limits}. */
export class Http2Connection implements SessionPort, InputHolder {
  readonly #stream: ByteStream;
  readonly #server: boolean;
  readonly #handler: Http2ConnectionHandler;
  readonly #clock: Clock;
  readonly #pingTimeoutMs: number;
  readonly #session: Http2Session<Http2Stream>;
  readonly #output: TurnOutput;
  /** The received bytes that wait for readers, and our bytes that wait for the peer. */
  #inputBytes = 0;
  #unsentBytes = 0;
  readonly #onUnsent = (difference: number): void => {
    this.#unsentBytes += difference;
    heldInput.changed(this, this.#inputBytes + this.#unsentBytes);
  };
  #isClosed = false;
  /** Whether the kernel has not accepted all of the bytes that were written at once. */
  #isBlocked = false;
  #goawayGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;

  constructor(options: Http2ConnectionOptions) {
    this.#stream = options.stream;
    this.#server = options.server;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.#pingTimeoutMs = options.pingTimeoutMs;
    this.#session = new Http2Session(this, {
      server: options.server,
      limits: http2Limits,
      streamsName: "requests",
      nowMs: options.clock.steadyMs(),
      maxStreams: options.maxStreams,
      maxHeaderListBytes: options.maxHeaderListBytes,
      maxReadHeaderBytes: options.maxHeaderListBytes * http2Limits.headerListSlack,
      assumedStreams: options.assumedStreams ?? http2Limits.openedStreamsBeforeSettings,
      pingIntervalMs: options.pingIntervalMs,
      pingTimeoutMs: options.pingTimeoutMs,
      pingsWhenIdle: false,
    });
    this.#output = new TurnOutput({
      stream: options.stream,
      highWaterBytes: http2Limits.outputHighWaterBytes,
      onRoom: () => this.#session.wake(),
    });
  }

  /** Sends the preface and starts to read. `received` are bytes that have already arrived. */
  start(received?: Buffer): void {
    this.#session.start();
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#close(error),
    });
    if (received !== undefined) this.#read(received);
    if (!this.#isClosed && !this.#session.isDeferred) this.#stream.resume();
  }

  get local(): SocketAddress {
    return this.#stream.local;
  }

  get peer(): string {
    return this.#stream.remote.address;
  }

  get heldStreams(): Iterable<Http2Stream> {
    return this.#session.streams;
  }

  get activeStreams(): number {
    return this.#session.activeStreams;
  }

  /** The number of streams that were opened on the connection. */
  get openedStreams(): number {
    return this.#session.openedStreams;
  }

  /** How many bytes of the connection the kernel has taken. It shows whether anything was sent since. */
  get sentBytes(): number {
    return this.#stream.sentBytes - this.#stream.bufferedBytes;
  }

  get closed(): boolean {
    return this.#session.over;
  }

  get draining(): boolean {
    return this.#session.draining;
  }

  /** The server's limit of concurrent streams. Undefined until it announces one. */
  get peerMaxStreams(): number | undefined {
    return this.#session.peerMaxStreams;
  }

  /** Whether the peer accepts another stream now. Only clients read it. */
  get takesStream(): boolean {
    return this.#session.takesStream;
  }

  /** Opens a stream of ours. The caller must send its head at once. */
  open(): Http2Stream {
    return this.#begin(this.#session.claimId());
  }

  /** Lets the peer leave without losing a request. The connection ends with its last stream. */
  drain(): void {
    if (this.closed || this.#goawayGrace !== undefined) return;
    this.#session.drain();
    if (this.#server)
      this.#goawayGrace = this.#clock.after(http2Limits.goawayGraceMs, () => this.#session.refuseMore());
  }

  /** Ends the connection at once, and notifies its streams. */
  destroy(error: Error): void {
    if (this.#isClosed) return;
    this.#stream.destroy();
    this.#close(error);
  }

  /** Ends the connection with GOAWAY, because the peer broke a rule. */
  fail(code: number, message: string): void {
    this.#session.fail(code, message);
  }

  /** Resets stalled streams that their exchange has left, and pings a quiet peer. Must be called once a second. */
  sweep(nowMs: number): void {
    for (const stream of this.#session.streams) stream.sweep();
    this.#session.sweep(nowMs);
  }

  // ---- SessionPort

  output(): FrameWriter {
    return this.#output.writer();
  }

  isFull(): boolean {
    return this.#isBlocked || this.#output.isFull;
  }

  sendInPlace(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean {
    const stream = this.#stream;
    // Bytes that the kernel has not accepted yet are written first.
    if (stream.bufferedBytes > 0 || !writesInPlace(stream, bytes)) return false;
    const writer = this.#output.writer();
    writer.returned();
    const headEnds: number[] = [];
    for (let at = 0; at < bytes.length; at += frameBytes) {
      const length = Math.min(frameBytes, bytes.length - at);
      writer.dataHead(streamId, length, endStream && at + length === bytes.length);
      headEnds.push(writer.length);
    }
    const framed = { heads: writer.view(), headEnds, body: bytes, pieceBytes: frameBytes };
    if (!writeFramed(stream, framed)) this.#isBlocked = true;
    if (stream.bufferedBytes === 0) writer.reuse();
    else writer.release();
    return true;
  }

  opened(streamId: number, fields: readonly string[], endStream: boolean): void {
    const stream = this.#begin(streamId);
    stream.remoteEnded = endStream;
    this.#handler.opened(stream);
    stream.receiveHeaders(fields, endStream);
  }

  streamEnded(): void {
    if (!this.#isClosed) this.#handler.streamsChanged();
  }

  inputHeld(bytes: number): void {
    this.#inputBytes = bytes;
    heldInput.changed(this, bytes + this.#unsentBytes);
  }

  settingsChanged(): void {
    this.#handler.streamsChanged();
  }

  peerLeaves(lastStreamId: number, code: number, debug: string): void {
    if (!this.#server) {
      const reason =
        code === errorCode.noError
          ? "is going away"
          : `ended the connection (${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`})`;
      this.#abortStreams({ by: "connection", code, unprocessed: true, message: `the peer ${reason}` }, lastStreamId);
    }
    this.#handler.goaway();
  }

  finished(): void {
    this.#output.whenEmpty(() => this.#end(http2Limits.flushTimeoutMs));
  }

  failed({ code, message }: Http2ConnectionError): void {
    this.#output.flush();
    this.#end();
    this.#abortStreams({ by: "connection", code, unprocessed: false, message });
  }

  deferred(waitMs: number): void {
    inLaterTurn(this.#stream, { clock: this.#clock, waitMs }, () => {
      this.#session.proceed(this.#clock.steadyMs());
      this.#requireReader();
      return !this.#session.isDeferred;
    });
  }

  sendsOn(): void {
    this.#stream.pause();
  }

  unanswered(): void {
    this.destroy(new Error(`the peer did not answer a PING within ${this.#pingTimeoutMs / 1000} s`));
  }

  #begin(streamId: number): Http2Stream {
    const stream = new Http2Stream(this.#session, streamId, this.#server, this.#onUnsent);
    this.#session.adopt(stream);
    return stream;
  }

  #read(chunk: Buffer): void {
    this.#session.receive(chunk, this.#clock.steadyMs());
    this.#requireReader();
  }

  #drained(): void {
    this.#isBlocked = false;
    this.#output.drained();
  }

  #requireReader(): void {
    if (this.#output.length > http2Limits.maxOutputBytes)
      this.#session.cutOff("unread_answers", "the peer does not read our answers");
  }

  #inputEnded(): void {
    // Half-closed connections have no use in HTTP/2.
    if (this.activeStreams > 0) this.destroy(new Error("the peer ended the connection"));
    else this.#end();
  }

  /** `flushMs` is how long a slow peer may take for the bytes that the kernel has not taken yet. */
  #end(flushMs = 0): void {
    if (this.#closeGrace !== undefined || this.#isClosed) return;
    this.#session.close();
    this.#output.stop();
    this.#stream.end();
    this.#closeGrace = cutOffLater(this.#stream, this.#clock, { graceMs: http2Limits.closeGraceMs, flushMs });
  }

  #abortStreams(failure: StreamFailure, above = 0): void {
    for (const stream of this.#session.streams) if (stream.id > above) stream.abort(failure);
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#session.close();
    this.#output.stop();
    this.#goawayGrace?.[Symbol.dispose]();
    this.#closeGrace?.[Symbol.dispose]();
    this.#abortStreams({
      by: "connection",
      code: errorCode.internalError,
      unprocessed: false,
      message: error?.message ?? "connection termination",
    });
    this.#handler.closed(error);
  }
}
