import { CR, hexValue, isFieldValue, isToken, LF } from "./characters.ts";

/** The maximum length of the extensions of one chunk, and of all trailers. */
const maxLineBytes = 4096;
const maxTrailerBytes = 16 * 1024;
/**
 * The maximum bytes of chunk extensions in a body, beyond {@link freeExtensionBytes} for each chunk and twice the
 * body's data. Extensions end at this hop, so no slow reader holds their sender back, and each byte of them costs more
 * than a byte of data. Go has the same limit.
 */
const maxExtensionBytes = 16 * 1024;
/** The bytes of extensions that each chunk may have, however little data it has. */
const freeExtensionBytes = 16;

/** Larger ranges of data are not joined, because copying them costs more than passing them separately. */
const joinedRangeBytes = 512;
const joinedBytes = 8192;
/** Up to this length, a loop copies faster than a call of the runtime. */
const loopBytes = 32;

/** Copies bytes. Returns the end of the copy. */
function copySmall(bytes: Buffer, from: number, to: number, into: Buffer, at: number): number {
  if (to - from > loopBytes) bytes.copy(into, at, from, to);
  else for (let index = from; index < to; index += 1) into[at + index - from] = bytes[index] ?? 0;
  return at + to - from;
}

/** The states of the scanner. They are numbers, because they are compared for every byte that is not data. */
const states = {
  sizeStart: 0,
  size: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  trailerStart: 7,
  trailer: 8,
  trailerLf: 9,
  endLf: 10,
  done: 11,
  bad: 12,
};

const SEMICOLON = 59;

/**
 * Follows a chunked body without copying it. Finds the body's end and the ranges of its data. It is strict: sizes must
 * be plain hexadecimal numbers, every line must end in CR LF, extensions must have no control bytes, trailers must be
 * valid, and each of these has a limit.
 */
export class ChunkedScanner {
  #state = states.sizeStart;
  #remaining = 0;
  #digits = 0;
  #line = 0;
  /** The bytes of extensions beyond what the chunks and their data allow. */
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerHasName = false;
  #trailers: number[] = [];
  /** Whether to record the trailers, for {@link trailers}. */
  keepsTrailers = false;

  /** Offsets of the last scan: the beginning and the end of each range that {@link kept} leaves out. */
  #spare: number[] = [];
  /** The bytes of data so far, without framing. */
  dataBytes = 0;

  reset(): void {
    this.#state = states.sizeStart;
    this.#remaining = 0;
    this.#digits = 0;
    this.#line = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#trailers = [];
    this.#spare = [];
    this.dataBytes = 0;
  }

  /** The lines of the trailers, each with its CRLF. They are complete when {@link done} is true. */
  get trailers(): string {
    return String.fromCharCode(...this.#trailers);
  }

  get done(): boolean {
    return this.#state === states.done;
  }

  /** Whether the framing is invalid. No byte after that can be trusted. */
  get bad(): boolean {
    return this.#state === states.bad;
  }

  /**
   * Scans `bytes[start, end)`. Returns where the body ends: at `end`, unless it is {@link done} or {@link bad} before.
   * Calls `onData` for each range of data.
   */
  scan(bytes: Uint8Array, start: number, end: number, onData?: (from: number, to: number) => void): number {
    let at = start;
    if (this.#spare.length > 0) this.#spare = [];
    while (at < end && this.#state < states.done) {
      if (this.#state === states.data) {
        const take = Math.min(this.#remaining, end - at);
        onData?.(at, at + take);
        this.dataBytes += take;
        this.#remaining -= take;
        at += take;
        if (this.#remaining === 0) this.#state = states.dataCr;
      } else {
        const byte = bytes[at] ?? 0;
        if (this.#isSpare(byte)) this.#leaveOut(at);
        this.#step(byte);
        if (this.bad) return at;
        at += 1;
      }
    }
    return at;
  }

  /**
   * Like {@link scan}, but copies small neighbouring ranges together. A sender may make chunks of one byte, and a call
   * of `onData` costs as much as many bytes.
   */
  scanJoined(
    bytes: Buffer,
    start: number,
    end: number,
    onData: (bytes: Buffer, from: number, to: number) => void,
  ): number {
    // Either one range that waits for a neighbour (`from` to `to`), or ranges that were already copied together
    // (`joined`).
    let from = 0;
    let to = 0;
    let joined: Buffer | undefined;
    let length = 0;
    const pass = (): void => {
      if (joined !== undefined) onData(joined, 0, length);
      else if (to > from) onData(bytes, from, to);
      // Do not use the memory again, because a receiver may keep it until it is sent.
      joined = undefined;
      length = 0;
      from = to;
    };
    const after = this.scan(bytes, start, end, (rangeStart, rangeEnd) => {
      const size = rangeEnd - rangeStart;
      const waiting = joined === undefined ? to - from : length;
      if (
        size > joinedRangeBytes ||
        waiting + size > joinedBytes ||
        (joined === undefined && waiting > joinedRangeBytes)
      )
        pass();
      if (joined === undefined && from === to) {
        from = rangeStart;
        to = rangeEnd;
        return;
      }
      if (joined === undefined) {
        joined = Buffer.allocUnsafe(Math.min(joinedBytes, end - start));
        length = copySmall(bytes, from, to, joined, 0);
        from = to;
      }
      length = copySmall(bytes, rangeStart, rangeEnd, joined, length);
    });
    pass();
    return after;
  }

  /**
   * The bytes of the last scan without chunk extensions and trailers, which are meant for one hop only. Undefined if
   * there were none, so that the bytes can be forwarded as they are. `trailers` are lines, each with its CRLF, that
   * replace the original trailers.
   */
  kept(bytes: Buffer, start: number, end: number, trailers = ""): Buffer | undefined {
    if (this.#spare.length === 0) return undefined;
    const parts: Buffer[] = [];
    let at = start;
    for (let index = 0; index < this.#spare.length; index += 2) {
      parts.push(bytes.subarray(at, this.#spare[index]));
      at = this.#spare[index + 1] ?? at;
    }
    parts.push(bytes.subarray(at, end));
    // The scan has left out the empty line after the trailers too, so write it again.
    if (this.done && this.keepsTrailers) parts.push(Buffer.from(`${trailers}\r\n`, "latin1"));
    return Buffer.concat(parts);
  }

  #isSpare(byte: number): boolean {
    switch (this.#state) {
      case states.size:
        return byte === SEMICOLON;
      case states.extension:
        return byte !== CR;
      case states.trailerStart:
        return byte !== CR || this.keepsTrailers;
      case states.endLf:
        return this.keepsTrailers;
      case states.trailer:
      case states.trailerLf:
        return true;
      default:
        return false;
    }
  }

  #leaveOut(at: number): void {
    const last = this.#spare.length - 1;
    if (last > 0 && this.#spare[last] === at) this.#spare[last] = at + 1;
    else this.#spare.push(at, at + 1);
  }

  #step(byte: number): void {
    switch (this.#state) {
      case states.sizeStart:
      case states.size:
        this.#sizeByte(byte);
        return;
      case states.extension:
        this.#line += 1;
        if (byte === CR) this.#state = states.sizeLf;
        else if (isFieldValue[byte] === 0 || this.#line > maxLineBytes) this.#state = states.bad;
        return;
      case states.sizeLf:
        this.#sizeEnds(byte);
        this.#chargeExtension();
        return;
      case states.dataCr:
        this.#expect(byte, CR, states.dataLf);
        return;
      case states.dataLf:
        this.#expect(byte, LF, states.sizeStart);
        return;
      default:
        this.#trailerByte(byte);
    }
  }

  #expect(byte: number, wanted: number, next: number): void {
    this.#state = byte === wanted ? next : states.bad;
  }

  #sizeByte(byte: number): void {
    const digit = hexValue[byte] ?? 255;
    if (digit !== 255) {
      this.#remaining = this.#state === states.sizeStart ? digit : this.#remaining * 16 + digit;
      this.#digits = this.#state === states.sizeStart ? 1 : this.#digits + 1;
      // Accept at most twelve digits, because a double is exact for such a number.
      this.#state = this.#digits > 12 ? states.bad : states.size;
    } else if (this.#state === states.size && byte === CR) this.#state = states.sizeLf;
    else if (this.#state === states.size && byte === SEMICOLON) {
      this.#line = 0;
      this.#state = states.extension;
    } else this.#state = states.bad;
  }

  #sizeEnds(byte: number): void {
    if (byte !== LF) this.#state = states.bad;
    else this.#state = this.#remaining === 0 ? states.trailerStart : states.data;
  }

  #chargeExtension(): void {
    if (this.#line === 0 && this.#extensionBytes === 0) return;
    this.#extensionBytes = Math.max(0, this.#extensionBytes + this.#line - freeExtensionBytes - 2 * this.#remaining);
    this.#line = 0;
    if (this.#extensionBytes > maxExtensionBytes) this.#state = states.bad;
  }

  #trailerByte(byte: number): void {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > maxTrailerBytes) {
      this.#state = states.bad;
      return;
    }
    if (this.keepsTrailers) this.#trailers.push(byte);
    switch (this.#state) {
      case states.trailerStart:
        this.#trailerHasName = false;
        if (byte === CR) this.#state = states.endLf;
        // A line that begins with a space would continue the line before it. That is not allowed.
        else this.#state = isToken[byte] === 1 ? states.trailer : states.bad;
        return;
      case states.trailer:
        if (byte === 58) this.#trailerHasName = true;
        else if (byte === CR) this.#state = this.#trailerHasName ? states.trailerLf : states.bad;
        else if ((this.#trailerHasName ? isFieldValue : isToken)[byte] === 0) this.#state = states.bad;
        return;
      case states.trailerLf:
        this.#expect(byte, LF, states.trailerStart);
        return;
      default:
        this.#expect(byte, LF, states.done);
    }
  }
}
