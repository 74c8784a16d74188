import { spdyDictionary } from "./dictionary.ts";
import {
  decodeHeaders,
  encodeFrame,
  encodeHeaders,
  SpdyFrameReader,
  type SpdyFrame,
  type SpdyHeaders,
} from "./frames.ts";
import { MessageInflater } from "./inflate.ts";

export interface SpdyStreamHandler {
  data(bytes: Uint8Array): void;
  /** Called when the peer has ended its side. */
  end(): void;
  /** Called when the peer has cancelled the stream. */
  reset(): void;
}

/**
 * One stream of a session. Streams have no flow control of their own: only the connection limits writes, as in other
 * implementations for Kubernetes.
 */
export interface SpdyStream {
  readonly id: number;
  /** The headers of the opening frame. Names are in lower case. */
  readonly headers: SpdyHeaders;
  setHandler(handler: SpdyStreamHandler): void;
  write(bytes: Uint8Array): void;
  /** Ends our side. */
  end(): void;
  reset(): void;
}

export interface SpdySessionOptions {
  /** Sends bytes on the connection, in order. */
  readonly send: (bytes: Uint8Array) => void;
  /**
   * Called when the peer has opened a stream, which the session has accepted. Set the stream's handler before
   * returning.
   */
  readonly opened: (stream: SpdyStream) => void;
  /** The client's streams have odd ids, and the server's even ones. */
  readonly role: "client" | "server";
}

/** The maximum number of concurrent streams. Further ones are refused. A port-forward uses two for each connection. */
const maximumStreams = 2000;
const protocolError = 1;
const refusedStream = 3;
const cancelled = 5;
/** The maximum size of a deflate block without compression. Our headers are far smaller. */
const storedBlockLimit = 65_535;

/**
 * A SPDY/3.1 session over any connection. Pass received bytes to {@link receive}. It throws a RangeError for invalid
 * input, and then the connection must be closed.
 */
export class SpdySession {
  readonly #options: SpdySessionOptions;
  readonly #reader = new SpdyFrameReader();
  readonly #inflater = new MessageInflater(spdyDictionary);
  readonly #streams = new Map<number, Stream>();
  #nextId: number;
  #compressionStarted = false;

  constructor(options: SpdySessionOptions) {
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  receive(chunk: Uint8Array): void {
    for (const frame of this.#reader.push(chunk)) this.#frame(frame);
  }

  open(headers: SpdyHeaders): SpdyStream {
    const stream = new Stream(this.#nextId, headers, (frame) => this.#sendFor(stream, frame));
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.#send({
      type: "syn-stream",
      streamId: stream.id,
      fin: false,
      unidirectional: false,
      block: this.#compress(headers),
    });
    return stream;
  }

  /** Tells the peer that no more streams are accepted. */
  goAway(): void {
    this.#send({ type: "goaway", lastStreamId: Math.max(0, ...this.#streams.keys()), status: 0 });
  }

  #frame(frame: SpdyFrame): void {
    switch (frame.type) {
      case "syn-stream":
        return this.#accept(frame);
      case "syn-reply":
      case "headers":
        // Inflate the block although nobody needs it, because it changes the state of the compression.
        this.#inflater.inflate(frame.block);
        if (frame.fin) this.#ended(frame.streamId);
        return;
      case "data":
        return this.#data(frame);
      case "rst-stream": {
        const stream = this.#streams.get(frame.streamId);
        this.#streams.delete(frame.streamId);
        stream?.handler?.reset();
        return;
      }
      case "ping":
        // Answer only pings with the peer's parity. A ping with our parity would be an answer, but we send no pings.
        if ((frame.id & 1) === (this.#options.role === "server" ? 1 : 0)) this.#send(frame);
        return;
      case "settings":
      case "goaway":
      case "window-update":
      case "unknown":
        return;
    }
  }

  #accept(frame: Extract<SpdyFrame, { type: "syn-stream" }>): void {
    const headers = decodeHeaders(this.#inflater.inflate(frame.block));
    if (this.#streams.size >= maximumStreams)
      return this.#send({ type: "rst-stream", streamId: frame.streamId, status: refusedStream });
    // A second stream with this id would replace and leak the first one, and the peer could repeat that any number of
    // times.
    if (this.#streams.has(frame.streamId))
      return this.#send({ type: "rst-stream", streamId: frame.streamId, status: protocolError });
    const stream = new Stream(frame.streamId, headers, (sent) => this.#sendFor(stream, sent));
    this.#streams.set(frame.streamId, stream);
    this.#send({ type: "syn-reply", streamId: frame.streamId, fin: false, block: this.#compress({}) });
    this.#options.opened(stream);
    if (frame.fin) this.#ended(frame.streamId);
  }

  #data(frame: Extract<SpdyFrame, { type: "data" }>): void {
    const stream = this.#streams.get(frame.streamId);
    if (frame.bytes.length > 0) {
      stream?.handler?.data(frame.bytes);
      for (const streamId of [frame.streamId, 0])
        this.#send({ type: "window-update", streamId, delta: frame.bytes.length });
    }
    if (frame.fin) this.#ended(frame.streamId);
  }

  #ended(streamId: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.remoteEnded) return;
    stream.remoteEnded = true;
    if (stream.localEnded) this.#streams.delete(streamId);
    stream.handler?.end();
  }

  #sendFor(stream: Stream, frame: SpdyFrame): void {
    if (frame.type === "rst-stream" || (stream.localEnded && stream.remoteEnded)) this.#streams.delete(stream.id);
    this.#send(frame);
  }

  #send(frame: SpdyFrame): void {
    this.#options.send(encodeFrame(frame));
  }

  /** Encodes headers as uncompressed blocks of a zlib stream, which every peer can read. */
  #compress(headers: SpdyHeaders): Uint8Array {
    const block = encodeHeaders(headers);
    if (block.length > storedBlockLimit) throw new RangeError("headers of more than 64 KiB");
    const head = this.#compressionStarted ? [] : [0x78, 0x20, ...checksumBytes(spdyDictionary)];
    this.#compressionStarted = true;
    const { length } = block;
    const stored = [0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff];
    // Add an empty block. It makes Go's inflate deliver the block before it.
    const flush = [0, 0, 0, 0xff, 0xff];
    return Uint8Array.from([...head, ...stored, ...block, ...flush]);
  }
}

class Stream implements SpdyStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  handler: SpdyStreamHandler | undefined;
  localEnded = false;
  remoteEnded = false;
  readonly #send: (frame: SpdyFrame) => void;

  constructor(id: number, headers: SpdyHeaders, send: (frame: SpdyFrame) => void) {
    this.id = id;
    this.headers = headers;
    this.#send = send;
  }

  setHandler(handler: SpdyStreamHandler): void {
    this.handler = handler;
  }

  write(bytes: Uint8Array): void {
    if (!this.localEnded && bytes.length > 0) this.#send({ type: "data", streamId: this.id, fin: false, bytes });
  }

  end(): void {
    if (this.localEnded) return;
    this.localEnded = true;
    this.#send({ type: "data", streamId: this.id, fin: true, bytes: new Uint8Array(0) });
  }

  reset(): void {
    this.localEnded = true;
    this.#send({ type: "rst-stream", streamId: this.id, status: cancelled });
  }
}

/** The Adler-32 checksum in big-endian order. With it, a zlib stream names its dictionary. */
function checksumBytes(bytes: Uint8Array): number[] {
  let low = 1;
  let high = 0;
  for (const byte of bytes) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return [high >> 8, high & 0xff, low >> 8, low & 0xff];
}
