import { SerinError, type Clock, type Linked } from "../../base/index.ts";
import { readLargeMessages, type ByteStreamHandler } from "../../net/index.ts";
import {
  bodyFramings,
  ChunkedScanner,
  defaultHeadLimits,
  headIncomplete,
  headRefused,
  keepsAlive,
  MessageHead,
  responseFraming,
  scanResponseHead,
  type BodyFraming,
} from "../../wire/http1/index.ts";
import { UpstreamEnd } from "../terms/address-text.ts";
import { keptTrailers } from "../terms/trailers.ts";
import { textOfTrailers, trailersOfText } from "../http2/http2-heads.ts";
import type { UpstreamStream } from "./endpoint.ts";
import {
  maxInterimBytes,
  type ResponseReceiver,
  type UpstreamChannel,
  type UpstreamFailure,
} from "./upstream-channel.ts";

export interface ConnectionHome {
  /** Called when the exchange is over, so that the connection can serve another one. */
  release(connection: UpstreamConnection): void;
  forget(connection: UpstreamConnection): void;
}

type State = "idle" | "head" | "body" | "switched" | "closed";

/** The head of the response that is read. This thread reads one head at a time, so all connections share the memory. */
const scratchHead = new MessageHead();

/**
 * The time between the moment when this proxy stops using an idle connection and the moment when the server will close
 * it. Servers such as Node's close idle connections after some seconds.
 */
const idleMarginMs = 1000;

const retireAfterMs = 5000;
const noBytes = Buffer.alloc(0);

/** One HTTP/1.1 connection to an endpoint, which serves one exchange at a time. */
export class UpstreamConnection implements ByteStreamHandler, UpstreamChannel, Linked<UpstreamConnection> {
  readonly stream: UpstreamStream;
  readonly local: UpstreamEnd;
  /** When the connection was opened, on the steady clock. */
  readonly openedAtMs: number;
  readonly #home: ConnectionHome;
  #receiver: ResponseReceiver | undefined;
  #state: State = "idle";
  #carry: Buffer | undefined;
  #framing: BodyFraming = bodyFramings.none;
  #remaining = 0;
  #chunked: ChunkedScanner | undefined;
  #keepAlive = true;
  #requestComplete = true;
  #anyByte = false;
  #interimBytes = 0;
  #sentBefore = 0;
  #retirement: Disposable | undefined;
  requests = 0;
  idleSinceMs = 0;
  /** Whether nobody waited for the connection when it opened. */
  isSurplus = false;
  /** How long the connection may stay idle: as long as the peer keeps it, minus {@link idleMarginMs}. */
  idleLimitMs = Infinity;
  isListed = false;
  previous: UpstreamConnection | undefined;
  next: UpstreamConnection | undefined;

  constructor(stream: UpstreamStream, home: ConnectionHome, openedAtMs: number) {
    this.stream = stream;
    this.local = new UpstreamEnd(stream.local);
    this.openedAtMs = openedAtMs;
    this.#home = home;
    readLargeMessages(stream);
    stream.setHandler(this);
    stream.resume();
  }

  get holdsBytes(): boolean {
    return this.stream.bufferedBytes > 0;
  }

  get reused(): boolean {
    return this.requests > 1;
  }

  /** Whether the connection must not serve another exchange. */
  get retiring(): boolean {
    return this.stream.retiring === true;
  }

  begin(receiver: ResponseReceiver): void {
    this.#receiver = receiver;
    this.#state = "head";
    this.#anyByte = false;
    this.#interimBytes = 0;
    this.#requestComplete = false;
    this.#sentBefore = this.stream.sentBytes - this.stream.bufferedBytes;
    this.requests += 1;
  }

  send(message: Buffer, headLength: number, last: boolean): boolean {
    if (this.#receiver?.chunksRequest !== true) return this.write(message, last);
    if (last) this.#requestComplete = true;
    return this.#writeChunk(message.subarray(0, headLength), message.subarray(headLength), last ? "0\r\n\r\n" : "");
  }

  write(bytes: Buffer, last: boolean): boolean {
    if (last) this.#requestComplete = true;
    if (this.#receiver?.chunksRequest === true) return this.#writeChunk(noBytes, bytes, last ? "0\r\n\r\n" : "");
    return bytes.length === 0 || this.stream.write(bytes);
  }

  sendTrailers(fields: readonly string[]): void {
    this.#requestComplete = true;
    // Send no trailers after a body of known length, because HTTP/1.1 cannot carry them there.
    if (this.#receiver?.chunksRequest === true)
      this.#writeChunk(noBytes, noBytes, `0\r\n${this.#receiver.http1Trailers ? textOfTrailers(fields) : ""}\r\n`);
  }

  #writeChunk(before: Buffer, bytes: Buffer, end: string): boolean {
    const start = bytes.length === 0 ? "" : `${bytes.length.toString(16)}\r\n`;
    const message = Buffer.concat([
      before,
      Buffer.from(start, "latin1"),
      bytes,
      Buffer.from(`${bytes.length === 0 ? "" : "\r\n"}${end}`, "latin1"),
    ]);
    return message.length === 0 || this.stream.write(message);
  }

  writeTunnel(bytes: Buffer): boolean {
    return this.stream.write(bytes);
  }

  endTunnel(): void {
    this.stream.end();
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  abandon(): void {
    this.#receiver = undefined;
    this.destroy();
  }

  destroy(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#home.forget(this);
    this.stream.destroy();
  }

  /**
   * Ends our side of an idle connection. If the peer does not end its side within {@link retireAfterMs}, the connection
   * is cut off.
   */
  retire(clock: Clock): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#home.forget(this);
    this.stream.end();
    this.#retirement = clock.after(retireAfterMs, () => this.stream.destroy());
  }

  data(chunk: Buffer): void {
    this.#anyByte = true;
    if (this.#state === "switched") {
      this.#receiver?.switchedBytes(chunk);
      return;
    }
    if (this.#state === "idle") {
      // Ignore bytes that arrive without a request, such as an unsolicited 408, and close.
      this.destroy();
      return;
    }
    if (this.#state === "body") this.#body(chunk, 0);
    else if (this.#state === "head") this.#heads(chunk);
  }

  end(): void {
    if (this.#endsWithConnection) this.#endBody();
    else if (this.#state === "switched") this.#receiver?.switchedEnd();
    else this.#fail("closed", "connection termination");
  }

  get #endsWithConnection(): boolean {
    return this.#state === "body" && this.#framing === bodyFramings.untilClose;
  }

  #endBody(): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    this.destroy();
    receiver?.responseBody(Buffer.alloc(0), 0, 0, true);
  }

  drain(): void {
    this.#receiver?.upstreamDrained();
  }

  close(error: Error | undefined): void {
    this.#retirement?.[Symbol.dispose]();
    // Treat a reset as the end of a body without a length, as Envoy does: a server that refuses a request without
    // reading all of it resets the connection after its response.
    if (this.#endsWithConnection && error instanceof SerinError && error.code === "connection-reset") this.#endBody();
    else this.#fail("closed", error?.message ?? "connection termination");
  }

  #heads(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#carry !== undefined) {
      const searchFrom = Math.max(0, this.#carry.length - 3);
      bytes = Buffer.concat([this.#carry, chunk]);
      // Scan a head that arrives in pieces only once its end has arrived, so that it is not scanned for each piece.
      if (bytes.indexOf("\r\n\r\n", searchFrom) < 0 && bytes.length <= defaultHeadLimits.maxHeadBytes) {
        this.#carry = bytes;
        return;
      }
      this.#carry = undefined;
    }
    let at = 0;
    while (this.#state === "head") {
      const after = scanResponseHead(scratchHead, bytes, at, bytes.length);
      if (after === headRefused) {
        this.#fail("protocol-error", scratchHead.error?.reason ?? "bad response");
        return;
      }
      if (after === headIncomplete) {
        if (at < bytes.length) this.#carry = Buffer.from(bytes.subarray(at));
        return;
      }
      this.#interimBytes += after - at;
      at = after;
      if (scratchHead.status >= 200 || scratchHead.status === 101) {
        this.#final(scratchHead, bytes, at);
        return;
      }
      if (this.#interimBytes > maxInterimBytes) {
        this.#fail("protocol-error", "too many interim responses");
        return;
      }
      this.#receiver?.interimResponse(scratchHead);
    }
  }

  #final(head: MessageHead, bytes: Buffer, at: number): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    if (head.status === 101 && !receiver.toUpgrade) {
      // Refuse the 101, because the bytes after it would bypass routes and policies in both directions.
      this.#fail("protocol-error", "101 to a request that asked for no other protocol");
      return;
    }
    if (head.status === 101 || (receiver.toConnect && head.status < 300)) {
      this.#state = "switched";
      receiver.switched(head, at, bytes.length);
      return;
    }
    this.#keepAlive = keepsAlive(head);
    this.#noteKeepAliveHint(head);
    this.#framing = responseFraming(head, receiver.toHead);
    this.#remaining = this.#framing === bodyFramings.length ? head.contentLength : 0;
    if (this.#framing === bodyFramings.chunked) {
      this.#chunked ??= new ChunkedScanner();
      this.#chunked.reset();
      this.#chunked.keepsTrailers = receiver.http1Trailers;
    }
    this.#state = "body";
    if (this.#framing === bodyFramings.chunked && receiver.wantsPlainBody) {
      receiver.response(head, this.#framing, at, at, false);
      if (this.#receiver === receiver) this.#body(bytes, at);
      return;
    }
    const to = this.#extent(bytes, at);
    if (to < 0) return;
    const last = this.#complete();
    const body = this.#withoutHop(bytes, at, to);
    if (body !== undefined) receiver.response(head, this.#framing, at, at, false);
    if (body !== undefined && this.#receiver !== receiver) return;
    if (last) this.#finish(to < bytes.length);
    if (body === undefined) receiver.response(head, this.#framing, at, to, last);
    else receiver.responseBody(body, 0, body.length, last);
  }

  /**
   * Reads `keep-alive: timeout=5`, which says when the peer closes the connection. The proxy stops using the connection
   * earlier, so that it sends no request at that moment.
   */
  #noteKeepAliveHint(head: MessageHead): void {
    const field = head.find("keep-alive");
    if (field < 0) return;
    const seconds = /timeout=(\d{1,6})/i.exec(head.value(field))?.[1];
    if (seconds !== undefined) this.idleLimitMs = Math.max(0, Number(seconds) * 1000 - idleMarginMs);
  }

  #body(bytes: Buffer, from: number): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    if (this.#framing === bodyFramings.chunked && receiver.wantsPlainBody) {
      this.#plainBody(receiver, bytes, from);
      return;
    }
    const to = this.#extent(bytes, from);
    if (to < 0) return;
    const last = this.#complete();
    const body = this.#withoutHop(bytes, from, to);
    if (last) this.#finish(to < bytes.length);
    if (body === undefined) receiver.responseBody(bytes, from, to, last);
    else receiver.responseBody(body, 0, body.length, last);
  }

  /**
   * Removes the parts of a chunked body that a proxy does not forward: chunk extensions and, unless the configuration
   * lets them pass, trailers. Returns undefined if the body passes unchanged.
   */
  #withoutHop(bytes: Buffer, from: number, to: number): Buffer | undefined {
    const scanner = this.#framing === bodyFramings.chunked ? this.#chunked : undefined;
    return scanner?.kept(bytes, from, to, keptTrailers(scanner));
  }

  #plainBody(receiver: ResponseReceiver, bytes: Buffer, from: number): void {
    const scanner = this.#chunked;
    if (scanner === undefined) return;
    const to = scanner.scanJoined(bytes, from, bytes.length, (part, start, end) =>
      receiver.responseBody(part, start, end, false),
    );
    if (this.#receiver !== receiver) return;
    if (scanner.bad) this.#fail("protocol-error", "bad chunked framing");
    else if (scanner.done) {
      const trailers = trailersOfText(scanner.trailers);
      this.#finish(to < bytes.length);
      if (trailers.length > 0) receiver.responseTrailers(trailers);
      else receiver.responseBody(bytes, to, to, true);
    }
  }

  /** Returns where the body ends in these bytes, or -1 if the connection failed. */
  #extent(bytes: Buffer, from: number): number {
    switch (this.#framing) {
      case bodyFramings.none:
        return from;
      case bodyFramings.length: {
        const take = Math.min(this.#remaining, bytes.length - from);
        this.#remaining -= take;
        return from + take;
      }
      case bodyFramings.chunked: {
        const to = this.#chunked?.scan(bytes, from, bytes.length) ?? from;
        if (this.#chunked?.bad !== true) return to;
        this.#fail("protocol-error", "bad chunked framing");
        return -1;
      }
      default:
        return bytes.length;
    }
  }

  #complete(): boolean {
    if (this.#framing === bodyFramings.none) return true;
    if (this.#framing === bodyFramings.length) return this.#remaining === 0;
    return this.#framing === bodyFramings.chunked && this.#chunked?.done === true;
  }

  /**
   * Ends the exchange, because the response is complete. The connection returns to the pool if it can serve another
   * one.
   */
  #finish(bytesLeft: boolean): void {
    this.#receiver = undefined;
    if (!this.#keepAlive || bytesLeft || !this.#requestComplete) {
      this.destroy();
      return;
    }
    this.#state = "idle";
    this.stream.resume();
    this.#home.release(this);
  }

  #fail(kind: UpstreamFailure["kind"], message: string): void {
    const receiver = this.#receiver;
    const state = this.#state;
    this.#receiver = undefined;
    const nothingSent = this.stream.sentBytes - this.stream.bufferedBytes <= this.#sentBefore;
    this.destroy();
    if (receiver === undefined || state === "closed") return;
    receiver.upstreamFailed({ kind, anyByte: this.#anyByte, nothingSent, message });
  }
}
