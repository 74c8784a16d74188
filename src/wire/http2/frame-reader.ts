import {
  clientPreface,
  defaultMaxFrameSize,
  errorCode,
  frameFlag,
  frameHeaderLength,
  frameType,
  Http2ConnectionError,
  maxWindow,
  setting,
} from "./constants.ts";
import { HpackDecoder } from "./hpack-decoder.ts";

/** A DATA frame below this size transports little compared with its header. */
const smallDataBytes = 1024;
const wholeBlockFlags = frameFlag.endHeaders | frameFlag.endStream;

/** Gets the frames of a connection in their order. Chunks and payloads are valid only during the call. */
export interface FrameHandler {
  /** A piece of a DATA frame. The last piece of the stream has `endStream`. */
  data(streamId: number, chunk: Buffer, endStream: boolean): void;
  /** Padding. It counts for flow control. */
  padding(streamId: number, length: number): void;
  /** A complete header block, as a list of names and values in turn. */
  headers(streamId: number, fields: string[], endStream: boolean): void;
  rstStream(streamId: number, code: number): void;
  settings(values: ReadonlyMap<number, number>): void;
  settingsAck(): void;
  ping(opaque: Buffer): void;
  pingAck(opaque: Buffer): void;
  goaway(lastStreamId: number, code: number, debug: string): void;
  windowUpdate(streamId: number, increment: number): void;
  /**
   * Called when a DATA frame begins that is padded or smaller than {@link smallDataBytes}. Its bytes and padding
   * follow.
   */
  smallData?(streamId: number, isPadded: boolean): void;
  /** A frame of an unknown type, which the reader ignores. */
  ignored?(type: number): void;
  /**
   * Called before each HEADERS frame. If it returns true, the frame and all later bytes wait for {@link
   * FrameReader.proceed}.
   */
  isTurnOver?(streamId: number): boolean;
}

export interface FrameReaderOptions {
  /** The SETTINGS_MAX_FRAME_SIZE that we announced. It limits DATA frames and header blocks. */
  readonly maxFrameSize: number;
  /** True on a server, because the client's preface comes first there. */
  readonly expectPreface: boolean;
  /** The limit of an encoded header block with its CONTINUATION frames. 64 KiB if absent. */
  readonly maxHeaderBlockBytes?: number;
  /** The SETTINGS_HEADER_TABLE_SIZE that we announced. 4096 if absent. */
  readonly headerTableBytes?: number;
  readonly maxHeaderListBytes?: number;
}

/**
 * Splits a byte stream into HTTP/2 frames (RFC 9113). DATA passes in pieces without a copy. Other frames are collected
 * first. Invalid input throws an {@link Http2ConnectionError}, and then the reader must not be used any more.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #maxFrameSize: number;
  readonly #maxHeaderBlockBytes: number;
  readonly #hpack: HpackDecoder;
  #prefaceLeft: number;
  #sawSettings = false;
  /** The beginning of a frame's header or of a control frame, or bytes that wait for {@link proceed}. */
  #partial: Buffer | undefined;
  #isDeferred = false;
  /** The stream of the current DATA frame. The next fields are about this frame too. */
  #dataStream = 0;
  #dataLeft = 0;
  #paddingLeft = 0;
  #dataEnd = false;
  /** The stream of the current header block. The next fields are about this block too. */
  #headerStream = 0;
  #headerParts: Buffer[] = [];
  #headerBytes = 0;
  #headerEnd = false;

  constructor(handler: FrameHandler, options: FrameReaderOptions) {
    this.#handler = handler;
    this.#maxFrameSize = options.maxFrameSize;
    this.#maxHeaderBlockBytes = options.maxHeaderBlockBytes ?? 65_536;
    this.#prefaceLeft = options.expectPreface ? clientPreface.length : 0;
    this.#hpack = new HpackDecoder({
      ...(options.headerTableBytes === undefined ? {} : { maxTableBytes: options.headerTableBytes }),
      ...(options.maxHeaderListBytes === undefined ? {} : { maxListBytes: options.maxHeaderListBytes }),
    });
  }

  push(chunk: Buffer): void {
    const partial = this.#partial;
    if (this.#isDeferred && partial !== undefined) {
      this.#partial = Buffer.concat([partial, chunk]);
      return;
    }
    this.#partial = undefined;
    const bytes = partial === undefined ? chunk : Buffer.concat([partial, chunk]);
    const at = this.#frames(bytes);
    // Only the caller's bytes become invalid after the call, so only they need a copy.
    if (at < bytes.length) this.#partial = bytes === chunk ? Buffer.from(bytes.subarray(at)) : bytes.subarray(at);
  }

  /** Whether the handler has ended its turn. All further bytes wait for {@link proceed}. */
  get isDeferred(): boolean {
    return this.#isDeferred;
  }

  /** Handles the bytes that waited for the next turn. */
  proceed(): void {
    const bytes = this.#partial;
    if (!this.#isDeferred || bytes === undefined) return;
    this.#isDeferred = false;
    this.#partial = undefined;
    const at = this.#frames(bytes);
    if (at < bytes.length) this.#partial = bytes.subarray(at);
  }

  /** Handles frames until bytes are missing or the turn is over. Returns where it has stopped. */
  #frames(bytes: Buffer): number {
    let at = this.#prefaceLeft > 0 ? this.#preface(bytes) : 0;
    while (at < bytes.length) {
      const isData = this.#dataLeft + this.#paddingLeft > 0;
      this.#isDeferred = !isData && this.#isTurnOver(bytes, at);
      if (this.#isDeferred) break;
      const next = isData ? this.#dataPiece(bytes, at) : this.#frame(bytes, at);
      if (next === at) break;
      at = next;
    }
    return at;
  }

  #isTurnOver(bytes: Buffer, at: number): boolean {
    if (bytes[at + 3] !== frameType.headers || bytes.length - at < frameHeaderLength) return false;
    return this.#handler.isTurnOver?.(bytes.readUInt32BE(at + 5) & 0x7fffffff) === true;
  }

  #preface(bytes: Buffer): number {
    const length = Math.min(this.#prefaceLeft, bytes.length);
    const from = clientPreface.length - this.#prefaceLeft;
    if (bytes.toString("latin1", 0, length) !== clientPreface.slice(from, from + length)) {
      throw protocolError("the client does not speak HTTP/2");
    }
    this.#prefaceLeft -= length;
    return length;
  }

  /** Passes on what has arrived of the current DATA frame. Returns where it ends. */
  #dataPiece(bytes: Buffer, at: number): number {
    let end = at;
    if (this.#dataLeft > 0) {
      end = Math.min(bytes.length, at + this.#dataLeft);
      this.#dataLeft -= end - at;
      const last = this.#dataLeft === 0 && this.#paddingLeft === 0;
      this.#handler.data(this.#dataStream, bytes.subarray(at, end), last && this.#dataEnd);
    }
    if (this.#dataLeft === 0 && this.#paddingLeft > 0 && end < bytes.length) {
      const length = Math.min(bytes.length - end, this.#paddingLeft);
      this.#paddingLeft -= length;
      end += length;
      this.#handler.padding(this.#dataStream, length);
      if (this.#paddingLeft === 0 && this.#dataEnd)
        this.#handler.data(this.#dataStream, bytes.subarray(end, end), true);
    }
    return end;
  }

  /**
   * Handles one frame, or only the header of a DATA frame. Returns where the next one begins, or `at` if bytes are
   * missing.
   */
  #frame(bytes: Buffer, at: number): number {
    if (bytes.length - at < frameHeaderLength) return at;
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId = word(bytes, at + 5) & 0x7fffffff;
    const body = at + frameHeaderLength;
    if (!this.#sawSettings) {
      if (type !== frameType.settings || (flags & frameFlag.ack) !== 0)
        throw protocolError("the first frame is not SETTINGS");
      this.#sawSettings = true;
    }
    if (this.#headerStream !== 0 && (type !== frameType.continuation || streamId !== this.#headerStream)) {
      throw protocolError("a header block was interrupted by another frame");
    }
    if (type === frameType.data) return this.#dataHead(bytes, body, length, flags, streamId);
    if (length > this.#controlLimit(type)) {
      throw new Http2ConnectionError(errorCode.frameSizeError, `a frame of type ${type} has ${length} bytes`);
    }
    if (bytes.length - body < length) return at;
    // Read the frame without making a view of it, because an upstream may send one with each message.
    if (type === frameType.windowUpdate) this.#windowUpdateFrame(bytes, body, length, streamId);
    else if (type === frameType.headers && (flags | frameFlag.endStream) === wholeBlockFlags)
      this.#wholeBlock(bytes, body, body + length, flags, streamId);
    else this.#control(type, flags, streamId, bytes.subarray(body, body + length));
    return body + length;
  }

  /** Decodes a header block that is one frame without padding and priority, like most. It needs no copy. */
  #wholeBlock(bytes: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId === 0) throw protocolError("HEADERS on stream 0");
    if (end - start > this.#maxHeaderBlockBytes) throw this.#blockTooLarge();
    this.#handler.headers(streamId, this.#hpack.decode(bytes, start, end), (flags & frameFlag.endStream) !== 0);
  }

  /** The maximum length of a control frame: 16 KiB, and more only for header blocks. */
  #controlLimit(type: number): number {
    if (type !== frameType.headers && type !== frameType.continuation) return defaultMaxFrameSize;
    return Math.max(defaultMaxFrameSize, Math.min(this.#maxFrameSize, this.#maxHeaderBlockBytes));
  }

  #dataHead(bytes: Buffer, body: number, length: number, flags: number, streamId: number): number {
    if (streamId === 0) throw protocolError("DATA on stream 0");
    if (length > this.#maxFrameSize)
      throw new Http2ConnectionError(errorCode.frameSizeError, `a DATA frame has ${length} bytes`);
    const padded = (flags & frameFlag.padded) !== 0;
    // The byte with the padding's length has not arrived yet.
    if (padded && bytes.length === body) return body - frameHeaderLength;
    const padding = padded ? (bytes[body] ?? 0) : 0;
    if (padded && padding >= length) throw protocolError("a DATA frame has more padding than bytes");
    if (padded || length < smallDataBytes) this.#handler.smallData?.(streamId, padded);
    this.#dataStream = streamId;
    this.#dataEnd = (flags & frameFlag.endStream) !== 0;
    this.#paddingLeft = padding;
    this.#dataLeft = length - padding - (padded ? 1 : 0);
    if (padded) this.#handler.padding(streamId, 1);
    const next = body + (padded ? 1 : 0);
    if (this.#dataLeft + this.#paddingLeft === 0 && (this.#dataEnd || length === 0)) {
      this.#handler.data(streamId, bytes.subarray(next, next), this.#dataEnd);
    }
    return next;
  }

  #control(type: number, flags: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case frameType.headers:
        this.#headersFrame(flags, streamId, payload);
        break;
      case frameType.continuation:
        if (this.#headerStream === 0) throw protocolError("CONTINUATION without HEADERS");
        this.#headerPart(payload, flags);
        break;
      case frameType.rstStream:
        expectSize(payload.length, 4, "RST_STREAM");
        if (streamId === 0) throw protocolError("RST_STREAM on stream 0");
        this.#handler.rstStream(streamId, payload.readUInt32BE(0));
        break;
      case frameType.settings:
        this.#settingsFrame(flags, streamId, payload);
        break;
      case frameType.pushPromise:
        throw protocolError("PUSH_PROMISE although push is off");
      case frameType.ping:
        expectSize(payload.length, 8, "PING");
        if (streamId !== 0) throw protocolError("PING on a stream");
        if ((flags & frameFlag.ack) !== 0) this.#handler.pingAck(payload);
        else this.#handler.ping(payload);
        break;
      case frameType.goaway:
        if (payload.length < 8) throw new Http2ConnectionError(errorCode.frameSizeError, "GOAWAY is too short");
        this.#handler.goaway(
          payload.readUInt32BE(0) & 0x7fffffff,
          payload.readUInt32BE(4),
          payload.toString("utf8", 8, 264),
        );
        break;
      case frameType.priority:
        if (streamId === 0) throw protocolError("PRIORITY on stream 0");
        expectSize(payload.length, 5, "PRIORITY");
        this.#handler.ignored?.(type);
        break;
      default:
        this.#handler.ignored?.(type);
        break;
    }
  }

  #windowUpdateFrame(bytes: Buffer, body: number, length: number, streamId: number): void {
    expectSize(length, 4, "WINDOW_UPDATE");
    const increment = word(bytes, body) & 0x7fffffff;
    if (increment === 0) throw protocolError("WINDOW_UPDATE by 0");
    this.#handler.windowUpdate(streamId, increment);
  }

  #settingsFrame(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw protocolError("SETTINGS on a stream");
    if ((flags & frameFlag.ack) !== 0) {
      expectSize(payload.length, 0, "SETTINGS with ACK");
      this.#handler.settingsAck();
      return;
    }
    if (payload.length % 6 !== 0)
      throw new Http2ConnectionError(errorCode.frameSizeError, "SETTINGS has a cut-off entry");
    const values = new Map<number, number>();
    for (let at = 0; at < payload.length; at += 6) values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    if ((values.get(setting.initialWindowSize) ?? 0) > maxWindow) {
      throw new Http2ConnectionError(errorCode.flowControlError, "SETTINGS asks for a window above 2^31-1");
    }
    const frameSize = values.get(setting.maxFrameSize) ?? defaultMaxFrameSize;
    if (frameSize < defaultMaxFrameSize || frameSize > 0xffffff)
      throw protocolError(`SETTINGS asks for frames of ${frameSize} bytes`);
    this.#handler.settings(values);
  }

  #headersFrame(flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0) throw protocolError("HEADERS on stream 0");
    let start = 0;
    let end = payload.length;
    if ((flags & frameFlag.padded) !== 0) {
      start = 1;
      end -= payload[0] ?? 0;
    }
    if ((flags & frameFlag.priority) !== 0) start += 5;
    if (start > end) throw protocolError("HEADERS has more padding than bytes");
    this.#headerStream = streamId;
    this.#headerEnd = (flags & frameFlag.endStream) !== 0;
    this.#headerPart(payload.subarray(start, end), flags);
  }

  #headerPart(part: Buffer, flags: number): void {
    this.#headerBytes += part.length;
    if (this.#headerBytes > this.#maxHeaderBlockBytes || this.#headerParts.length > 64) throw this.#blockTooLarge();
    const last = (flags & frameFlag.endHeaders) !== 0;
    if (!last) {
      this.#headerParts.push(Buffer.from(part));
      return;
    }
    const block = this.#headerParts.length === 0 ? part : Buffer.concat([...this.#headerParts, part]);
    const streamId = this.#headerStream;
    this.#headerStream = 0;
    this.#headerParts = [];
    this.#headerBytes = 0;
    this.#handler.headers(streamId, this.#hpack.decode(block), this.#headerEnd);
  }

  #blockTooLarge(): Http2ConnectionError {
    return new Http2ConnectionError(
      errorCode.enhanceYourCalm,
      `a header block is larger than ${this.#maxHeaderBlockBytes} bytes`,
    );
  }
}

function expectSize(length: number, size: number, name: string): void {
  if (length !== size)
    throw new Http2ConnectionError(errorCode.frameSizeError, `${name} has ${length} bytes instead of ${size}`);
}

/** Four bytes as a signed number. `readUInt32BE` costs more, because it checks its argument. */
function word(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

function protocolError(message: string): Http2ConnectionError {
  return new Http2ConnectionError(errorCode.protocolError, message);
}
