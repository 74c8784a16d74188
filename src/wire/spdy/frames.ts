// SPDY/3.1 framing (draft-mbelshe-httpbis-spdy-00 plus 3.1's session window), as kubectl's streams use it.

/** A frame whose header block is still compressed. */
export type SpdyFrame =
  | {
      readonly type: "syn-stream";
      readonly streamId: number;
      readonly fin: boolean;
      readonly unidirectional: boolean;
      readonly block: Uint8Array;
    }
  | { readonly type: "syn-reply"; readonly streamId: number; readonly fin: boolean; readonly block: Uint8Array }
  | { readonly type: "rst-stream"; readonly streamId: number; readonly status: number }
  | { readonly type: "settings" }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "goaway"; readonly lastStreamId: number; readonly status: number }
  | { readonly type: "headers"; readonly streamId: number; readonly fin: boolean; readonly block: Uint8Array }
  | { readonly type: "window-update"; readonly streamId: number; readonly delta: number }
  | { readonly type: "data"; readonly streamId: number; readonly fin: boolean; readonly bytes: Uint8Array }
  /** A control frame of an unknown type. Ignore it. */
  | { readonly type: "unknown" };

const version = 3;
const flagFin = 1;
const flagUnidirectional = 2;
const headerLength = 8;
const firstBytes = 256;
/** Frames have at most 16 MiB, because their length has 24 bits. golang's spdystream has the same limit. */
const maximumFrameLength = (1 << 24) - 1;

const types = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

function control(type: number, flags: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const out = new Uint8Array(headerLength + length);
  const view = new DataView(out.buffer);
  view.setUint16(0, 0x8000 | version);
  view.setUint16(2, type);
  view.setUint32(4, length);
  out[4] = flags;
  let at = headerLength;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function words(...values: readonly number[]): Uint8Array {
  const out = new Uint8Array(values.length * 4);
  const view = new DataView(out.buffer);
  values.forEach((value, index) => view.setUint32(index * 4, value));
  return out;
}

export function encodeFrame(frame: SpdyFrame): Uint8Array {
  switch (frame.type) {
    case "syn-stream": {
      const flags = (frame.fin ? flagFin : 0) | (frame.unidirectional ? flagUnidirectional : 0);
      return control(types.synStream, flags, words(frame.streamId, 0), new Uint8Array(2), frame.block);
    }
    case "syn-reply":
      return control(types.synReply, frame.fin ? flagFin : 0, words(frame.streamId), frame.block);
    case "headers":
      return control(types.headers, frame.fin ? flagFin : 0, words(frame.streamId), frame.block);
    case "rst-stream":
      return control(types.rstStream, 0, words(frame.streamId, frame.status));
    case "settings":
      return control(types.settings, 0, words(0));
    case "ping":
      return control(types.ping, 0, words(frame.id));
    case "goaway":
      return control(types.goaway, 0, words(frame.lastStreamId, frame.status));
    case "window-update":
      return control(types.windowUpdate, 0, words(frame.streamId, frame.delta));
    case "data": {
      const out = new Uint8Array(headerLength + frame.bytes.length);
      const view = new DataView(out.buffer);
      view.setUint32(0, frame.streamId);
      view.setUint32(4, frame.bytes.length);
      out[4] = frame.fin ? flagFin : 0;
      out.set(frame.bytes, headerLength);
      return out;
    }
    case "unknown":
      return new Uint8Array(0);
  }
}

/** Splits a byte stream into frames. Chunks may have any size. */
export class SpdyFrameReader {
  /**
   * Received bytes of frames that are not complete. The memory doubles when it is full, so that each byte of a large
   * frame is copied only a few times, and not once for each chunk.
   */
  #bytes = new Uint8Array(firstBytes);
  #held = 0;
  /** How many bytes complete the next frame. */
  #wanted = headerLength;

  /** Returns the frames that this chunk completes. Their bytes are copies. */
  push(chunk: Uint8Array): SpdyFrame[] {
    this.#append(chunk);
    if (this.#held < this.#wanted) return [];
    const frames: SpdyFrame[] = [];
    const bytes = this.#bytes.subarray(0, this.#held);
    let at = 0;
    this.#wanted = headerLength;
    while (bytes.length - at >= headerLength) {
      this.#wanted = headerLength + (new DataView(bytes.buffer, at).getUint32(4) & maximumFrameLength);
      if (bytes.length - at < this.#wanted) break;
      frames.push(decodeFrame(bytes.subarray(at, at + this.#wanted)));
      at += this.#wanted;
      this.#wanted = headerLength;
    }
    this.#bytes = bytes.slice(at);
    this.#held = this.#bytes.length;
    return frames;
  }

  #append(chunk: Uint8Array): void {
    const length = this.#held + chunk.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#held));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#held);
    this.#held = length;
  }
}

function decodeFrame(frame: Uint8Array): SpdyFrame {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const flags = frame[4] ?? 0;
  const fin = (flags & flagFin) !== 0;
  const word = (index: number): number =>
    frame.length >= headerLength + index * 4 + 4 ? view.getUint32(headerLength + index * 4) : 0;
  const id = (index: number): number => word(index) & 0x7fffffff;
  if (((frame[0] ?? 0) & 0x80) === 0)
    return { type: "data", streamId: view.getUint32(0) & 0x7fffffff, fin, bytes: frame.slice(headerLength) };
  switch (view.getUint16(2)) {
    case types.synStream:
      return {
        type: "syn-stream",
        streamId: id(0),
        fin,
        unidirectional: (flags & flagUnidirectional) !== 0,
        block: frame.slice(headerLength + 10),
      };
    case types.synReply:
      return { type: "syn-reply", streamId: id(0), fin, block: frame.slice(headerLength + 4) };
    case types.headers:
      return { type: "headers", streamId: id(0), fin, block: frame.slice(headerLength + 4) };
    case types.rstStream:
      return { type: "rst-stream", streamId: id(0), status: word(1) };
    case types.settings:
      return { type: "settings" };
    case types.ping:
      return { type: "ping", id: word(0) };
    case types.goaway:
      return { type: "goaway", lastStreamId: id(0), status: word(1) };
    case types.windowUpdate:
      return { type: "window-update", streamId: id(0), delta: id(1) };
    default:
      return { type: "unknown" };
  }
}

export type SpdyHeaders = Readonly<Record<string, string>>;

/** The header block before compression: names and values with 32-bit lengths. Names become lower-case. */
export function encodeHeaders(headers: SpdyHeaders): Uint8Array {
  const texts = Object.entries(headers).flatMap(([name, value]) => [
    new TextEncoder().encode(name.toLowerCase()),
    new TextEncoder().encode(value),
  ]);
  const out = new Uint8Array(4 + texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(out.buffer);
  view.setUint32(0, texts.length / 2);
  let at = 4;
  for (const text of texts) {
    view.setUint32(at, text.length);
    out.set(text, at + 4);
    at += 4 + text.length;
  }
  return out;
}

/** Decodes a header block. Names become lower-case. Throws a RangeError if the block is cut off. */
export function decodeHeaders(block: Uint8Array): SpdyHeaders {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const headers: Record<string, string> = {};
  let at = 4;
  const text = (): string => {
    const length = view.getUint32(at);
    if (at + 4 + length > block.length) throw new RangeError("the header block is cut off");
    const value = new TextDecoder().decode(block.subarray(at + 4, at + 4 + length));
    at += 4 + length;
    return value;
  };
  for (let left = view.getUint32(0); left > 0; left--) {
    const name = text();
    headers[name.toLowerCase()] = text();
  }
  return headers;
}
