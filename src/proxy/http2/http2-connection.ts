import { containing, type Clock } from "../../base/index.ts";
import { SessionCarrier, type CarrierUser } from "../../dataplane/index.ts";
import { writeFramed, writesInPlace, type ByteStream, type SocketAddress } from "../../net/index.ts";
import { errorCode, type Http2ConnectionError, type Http2Session } from "../../wire/http2/index.ts";
import { http2Limits } from "./http2-limits.ts";
import { Http2Stream, type StreamFailure } from "./http2-stream.ts";

export interface Http2ConnectionHandler {
  /** Called when a client has opened a stream. It must set the stream's handler, which then gets the head. */
  opened(stream: Http2Stream): void;
  /** Called when the peer sends GOAWAY. Streams that the peer will process continue to their end. */
  goaway(): void;
  /** Called when a stream has ended, or when the peer has sent settings, which may change its limit of streams. */
  streamsChanged(): void;
  /** Called once, after all other calls. */
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
   * The maximum number of open streams. On a server, it limits the streams of the client. On a client, it limits its
   * own streams, in addition to the server's limit.
   */
  readonly maxStreams: number;
  /** The silence, in milliseconds, after which a peer with open streams gets a PING. 0 means that no PING is sent. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** The number of streams that a client may open before the server has announced its limit. */
  readonly assumedStreams?: number | undefined;
}

/**
 * An HTTP/2 connection for requests, on the client's or the server's side. It is a session over a byte stream within
 * {@link http2Limits}.
 */
export class Http2Connection implements CarrierUser {
  /** The size up to which bytes are copied behind their frame header, which costs less than a separate write. */
  readonly inPlaceBytes = 32_768;
  readonly #server: boolean;
  readonly #handler: Http2ConnectionHandler;
  readonly #pingTimeoutMs: number;
  readonly #carrier: SessionCarrier<Http2Stream>;
  readonly #session: Http2Session<Http2Stream>;
  readonly #onUnsent = (difference: number): void => this.#carrier.unsent(difference);

  constructor({ handler, assumedStreams, ...options }: Http2ConnectionOptions) {
    this.#server = options.server;
    this.#handler = handler;
    this.#pingTimeoutMs = options.pingTimeoutMs;
    this.#carrier = new SessionCarrier(this, {
      ...options,
      limits: http2Limits,
      streamsName: "requests",
      maxReadHeaderBytes: options.maxHeaderListBytes * http2Limits.headerListSlack,
      assumedStreams: assumedStreams ?? http2Limits.openedStreamsBeforeSettings,
      pingsWhenIdle: false,
    });
    this.#session = this.#carrier.session;
  }

  /** Sends the preface and starts to read. `received` are bytes that have already arrived. */
  start(received?: Buffer): void {
    this.#carrier.start(received);
  }

  get local(): SocketAddress {
    return this.#carrier.stream.local;
  }

  get peer(): string {
    return this.#carrier.peer;
  }

  get heldStreams(): Iterable<Http2Stream> {
    return this.#carrier.heldStreams;
  }

  get activeStreams(): number {
    return this.#session.activeStreams;
  }

  get openedStreams(): number {
    return this.#session.openedStreams;
  }

  /** How many bytes the kernel has accepted since the start. A change shows that something was sent. */
  get sentBytes(): number {
    const { sentBytes, bufferedBytes } = this.#carrier.stream;
    return sentBytes - bufferedBytes;
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

  /** Whether the peer accepts another stream now. Only meaningful on a client. */
  get takesStream(): boolean {
    return this.#session.takesStream;
  }

  /** Opens a stream. The caller must send its head at once. */
  open(): Http2Stream {
    return this.#begin(this.#session.claimId());
  }

  /**
   * Sends GOAWAY in a way that lets the peer leave without losing a request. The connection ends with its last stream.
   */
  drain(): void {
    this.#carrier.drain();
  }

  /** Ends the connection at once, and notifies its streams. */
  destroy(error: Error): void {
    this.#carrier.destroy(error);
  }

  /** Ends the connection with GOAWAY, because the peer broke a rule. */
  fail(code: number, message: string): void {
    this.#session.fail(code, message);
  }

  /**
   * Resets streams that their exchange has left and that make no progress, and pings a silent peer. Must be called once
   * a second.
   */
  sweep(nowMs: number): void {
    for (const stream of this.#session.streams) containing(() => stream.sweep());
    this.#session.sweep(nowMs);
  }

  // ---- CarrierUser

  sendInPlace(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean {
    const { stream, frames } = this.#carrier;
    // Refuse while the stream has bytes that the kernel has not accepted yet, because those must go first.
    if (stream.bufferedBytes > 0 || !writesInPlace(stream, bytes)) return false;
    const writer = frames.writer();
    writer.returned();
    const headEnds: number[] = [];
    for (let at = 0; at < bytes.length; at += frameBytes) {
      const length = Math.min(frameBytes, bytes.length - at);
      writer.dataHead(streamId, length, endStream && at + length === bytes.length);
      headEnds.push(writer.length);
    }
    this.#carrier.wrote(writeFramed(stream, { heads: writer.view(), headEnds, body: bytes, pieceBytes: frameBytes }));
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
    this.#handler.streamsChanged();
  }

  settingsChanged(): void {
    this.#handler.streamsChanged();
  }

  peerLeaves(lastStreamId: number, code: number, reason: string): void {
    if (!this.#server)
      this.#abortStreams({ by: "connection", code, unprocessed: true, message: `the peer ${reason}` }, lastStreamId);
    this.#handler.goaway();
  }

  failed({ code, message }: Http2ConnectionError): void {
    this.#abortStreams({ by: "connection", code, unprocessed: false, message });
  }

  inputEnded(): void {
    // End the connection: HTTP/2 has no use for a half-closed one.
    if (this.activeStreams > 0) this.destroy(new Error("the peer ended the connection"));
    else this.#carrier.finished();
  }

  unanswered(): void {
    this.destroy(new Error(`the peer did not answer a PING within ${this.#pingTimeoutMs / 1000} s`));
  }

  connectionClosed(error: Error | undefined): void {
    this.#abortStreams({
      by: "connection",
      code: errorCode.internalError,
      unprocessed: false,
      message: error?.message ?? "connection termination",
    });
    this.#handler.closed(error);
  }

  #begin(streamId: number): Http2Stream {
    const stream = new Http2Stream(this.#session, streamId, this.#server, this.#onUnsent);
    this.#session.adopt(stream);
    return stream;
  }

  #abortStreams(failure: StreamFailure, above = 0): void {
    for (const stream of this.#session.streams) if (stream.id > above) containing(() => stream.abort(failure));
  }
}
