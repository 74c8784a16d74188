import type { Clock } from "../../base/index.ts";
import {
  bodyFramings,
  defaultHeadLimits,
  MessageHead,
  responseFraming,
  scanRequestHead,
} from "../../wire/http1/index.ts";
import { errorCode, trailersFault } from "../../wire/http2/index.ts";
import { Http2Connection, type Http2ConnectionHandler } from "../http2/http2-connection.ts";
import { headMalformed, HeadReader, requestBlock } from "../http2/http2-heads.ts";
import { http2Limits } from "../http2/http2-limits.ts";
import type { Http2Stream, Http2StreamHandler, StreamFailure } from "../http2/http2-stream.ts";
import { UpstreamEnd } from "../terms/address-text.ts";
import { composedLimits } from "../terms/composed-limits.ts";
import type { UpstreamStream } from "./endpoint.ts";
import type { Http2Settings } from "./http2-settings.ts";
import {
  maxInterimBytes,
  type ResponseReceiver,
  type UpstreamChannel,
  type UpstreamFailure,
} from "./upstream-channel.ts";

export interface Http2ConnectionHome {
  /** Called when the connection may accept more streams than before, or is idle. */
  changed(connection: Http2UpstreamConnection): void;
  forget(connection: Http2UpstreamConnection): void;
}

/** This thread reads one head at a time, so all connections share the memory of heads. */
const scratchHead = new MessageHead(composedLimits);
const reader = new HeadReader(composedLimits);
const noBytes = Buffer.alloc(0);

export class Http2UpstreamConnection implements Http2ConnectionHandler {
  readonly #connection: Http2Connection;
  readonly #stream: UpstreamStream;
  readonly #local: UpstreamEnd;
  readonly #home: Http2ConnectionHome;
  readonly #clock: Clock;
  readonly openedAtMs: number;
  idleSinceMs: number;

  constructor(
    stream: UpstreamStream,
    home: Http2ConnectionHome,
    clock: Clock,
    settings: Http2Settings | undefined,
    assumedStreams: number | undefined,
  ) {
    this.#stream = stream;
    this.#local = new UpstreamEnd(stream.local);
    this.#home = home;
    this.#clock = clock;
    this.openedAtMs = clock.steadyMs();
    this.idleSinceMs = this.openedAtMs;
    const hasKeepalive = settings !== undefined && settings.keepaliveIntervalMs > 0;
    this.#connection = new Http2Connection({
      stream,
      server: false,
      handler: this,
      clock,
      maxHeaderListBytes: defaultHeadLimits.maxHeadBytes,
      maxStreams: Math.min(settings?.maxConcurrentStreams ?? Infinity, http2Limits.openedStreams),
      pingIntervalMs: hasKeepalive ? settings.keepaliveIntervalMs : http2Limits.pingIntervalMs,
      pingTimeoutMs: hasKeepalive ? settings.keepaliveTimeoutMs : http2Limits.pingTimeoutMs,
      assumedStreams,
    });
  }

  start(): void {
    this.#connection.start();
  }

  get activeStreams(): number {
    return this.#connection.activeStreams;
  }

  get requests(): number {
    return this.#connection.openedStreams;
  }

  /** The server's limit of concurrent streams. Undefined until the server has announced it. */
  get maxStreams(): number | undefined {
    return this.#connection.peerMaxStreams;
  }

  get takesStream(): boolean {
    return this.#connection.takesStream && !this.#isRetiring();
  }

  /** Whether the tunnel that carries this connection is draining. This connection then ends with its open streams. */
  get retiring(): boolean {
    return this.#stream.retiring === true;
  }

  /** Whether the connection accepts no more streams, now or later. */
  get finished(): boolean {
    return this.#connection.closed || this.#connection.draining || this.#isRetiring();
  }

  /**
   * Whether the connection gets no more requests because its tunnel drains. It serves at least one request even if the
   * tunnel drains from the start, because another connection would be no better.
   *
   * This is a method and not a getter, because V8 calls into its runtime for each use of a private getter.
   */
  #isRetiring(): boolean {
    return this.retiring && this.requests > 0;
  }

  channel(): UpstreamChannel {
    return new Http2UpstreamChannel(this.#connection, this.#local);
  }

  /** Accepts no new streams, and ends with the last one. */
  drain(): void {
    this.#connection.drain();
  }

  sweep(nowMs: number): void {
    this.#connection.sweep(nowMs);
  }

  opened(stream: Http2Stream): void {
    stream.reset(errorCode.protocolError);
  }

  goaway(): void {
    this.#home.changed(this);
  }

  streamsChanged(): void {
    if (this.#connection.activeStreams === 0) this.idleSinceMs = this.#clock.steadyMs();
    this.#home.changed(this);
  }

  closed(): void {
    this.#home.forget(this);
  }
}

class Http2UpstreamChannel implements UpstreamChannel, Http2StreamHandler {
  readonly #connection: Http2Connection;
  readonly #stream: Http2Stream;
  readonly local: UpstreamEnd;
  readonly reused: boolean;
  /** False, because frames contain a copy of the bytes. */
  readonly holdsBytes = false;
  readonly #sentBefore: number;
  #receiver: ResponseReceiver | undefined;
  #answer: "none" | "begun" = "none";
  #interimBytes = 0;

  constructor(connection: Http2Connection, local: UpstreamEnd) {
    this.#connection = connection;
    this.local = local;
    this.reused = connection.openedStreams > 0;
    this.#sentBefore = connection.sentBytes;
    this.#stream = connection.open();
    this.#stream.handler = this;
  }

  begin(receiver: ResponseReceiver): void {
    this.#receiver = receiver;
  }

  send(message: Buffer, headLength: number, last: boolean): boolean {
    const receiver = this.#receiver;
    if (receiver === undefined) return true;
    const end = scanRequestHead(scratchHead, message, 0, headLength, composedLimits);
    if (end <= 0) {
      // A configured header may be invalid, so that the request cannot be sent. Report the failure only after this call
      // has returned.
      queueMicrotask(() =>
        this.#fail({
          kind: "protocol-error",
          anyByte: false,
          nothingSent: true,
          message: scratchHead.error?.reason ?? "a head that cannot be sent",
        }),
      );
      return true;
    }
    const bodiless = message.length === headLength;
    this.#stream.sendHead(requestBlock(scratchHead, receiver.scheme), last && bodiless);
    return bodiless || this.#stream.write(message.subarray(headLength), last);
  }

  write(bytes: Buffer, last: boolean): boolean {
    return (bytes.length === 0 && !last) || this.#stream.write(bytes, last);
  }

  sendTrailers(fields: readonly string[]): void {
    this.#stream.sendTrailers(fields);
  }

  writeTunnel(bytes: Buffer): boolean {
    return this.#stream.write(bytes, false);
  }

  endTunnel(): void {
    this.#stream.write(noBytes, true);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  abandon(): void {
    this.#receiver = undefined;
    this.#stream.reset(errorCode.cancel);
  }

  headers(fields: readonly string[], endStream: boolean): void {
    if (this.#answer === "begun") {
      this.#trailers(fields, endStream);
      return;
    }
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    const { head } = reader;
    const end = reader.response(fields);
    if (end <= 0) {
      this.#broke(end === headMalformed ? reader.fault : (head.error?.reason ?? "bad response"));
      return;
    }
    if (head.status < 200) {
      this.#interimBytes += end;
      if (endStream) this.#broke("an interim response that ends the stream");
      else if (this.#interimBytes > maxInterimBytes) this.#broke("too many interim responses");
      else receiver.interimResponse(head);
      return;
    }
    this.#answer = "begun";
    this.#respond(receiver, head, end, endStream);
  }

  data(bytes: Buffer, endStream: boolean): void {
    if (this.#answer === "none") {
      this.#broke("DATA before the response");
      return;
    }
    const receiver = this.#receiver;
    if (endStream) this.#finish();
    receiver?.responseBody(bytes, 0, bytes.length, endStream);
  }

  drained(): void {
    this.#receiver?.upstreamDrained();
  }

  aborted(failure: StreamFailure): void {
    const anyByte = this.#answer === "begun";
    const nothingSent = this.#connection.sentBytes <= this.#sentBefore;
    this.#fail({
      kind: kindOf(failure),
      anyByte,
      nothingSent: nothingSent || failure.unprocessed,
      message: failure.message,
    });
  }

  #respond(receiver: ResponseReceiver, head: MessageHead, end: number, endStream: boolean): void {
    const framing = responseFraming(head, receiver.toHead);
    const hasBody = framing !== bodyFramings.none;
    if (endStream) {
      if (hasBody && head.contentLength > 0) {
        this.#broke(`no body, although content-length is ${head.contentLength}`);
        return;
      }
      this.#finish();
      receiver.response(head, bodyFramings.none, end, end, true);
      return;
    }
    // Expect no data for a response that has no body: an HTTP/1.1 client would read it as the response to its next
    // request.
    if (!hasBody) this.#stream.expectedBytes = 0;
    else if (head.contentLength >= 0) this.#stream.expectedBytes = head.contentLength;
    receiver.response(head, framing, end, end, false);
  }

  #trailers(fields: readonly string[], endStream: boolean): void {
    const fault = endStream ? trailersFault(fields) : "a second head";
    if (fault !== undefined) {
      this.#broke(fault);
      return;
    }
    const receiver = this.#receiver;
    this.#finish();
    receiver?.responseTrailers(fields);
  }

  /** Ends the exchange, because the response is complete. The rest of the request is not needed. */
  #finish(): void {
    this.#receiver = undefined;
    if (!this.#stream.localEnded) this.#stream.reset(errorCode.noError);
  }

  #broke(message: string): void {
    this.#stream.reset(errorCode.protocolError);
    this.#fail({ kind: "protocol-error", anyByte: true, nothingSent: false, message });
  }

  #fail(failure: UpstreamFailure): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.upstreamFailed(failure);
  }
}

function kindOf(failure: StreamFailure): UpstreamFailure["kind"] {
  if (failure.unprocessed) return "refused";
  if (failure.by === "peer") return "reset";
  return failure.by === "protocol" ? "protocol-error" : "closed";
}
