import { uuidLetters, viewOf, type RandomUuid } from "../terms/random-id.ts";
import type { CaptureIndex } from "./capture-index.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { isoTime } from "./log-time.ts";

/** Returns the text of an operator for a record, which is `-` if the operator has no value. */
export type LogPart = (record: ExchangeRecord, capture: CaptureIndex) => string;

export type LineNumber =
  | "startedMs"
  | "durationMs"
  | "receivedBytes"
  | "sentBytes"
  | "upstreamServiceMs"
  | "answeredAfterMs";

/**
 * The place of a value in a line. The value may differ from that of the previous request:
 *
 * - `time`: when the request began.
 * - `text`: what `part` returns, with one byte for each character.
 * - `id`: the request's id. It writes its own bytes if the proxy has made it, and is what `part` returns otherwise.
 * - `way`: a piece of the request's {@link UpstreamWay}.
 *
 * All slots have all fields, so that V8 reads them by one hidden class.
 */
export interface ValueSlot {
  readonly type: "time" | Exclude<LineNumber, "startedMs"> | "text" | "id" | "way";
  readonly part: LogPart | undefined;
  readonly piece: number;
}

/** The parts that all lines of requests over one upstream connection share. */
export interface UpstreamWay {
  readonly pieces: readonly Uint8Array[];
}

/**
 * The maximum length of a text that is copied character by character. For a longer one, a call into the runtime is
 * faster.
 */
const maxCopiedLetters = 64;
const spareBytes = 64;
const msPerSecond = 1000;
const millisecondsAt = 20;
const isoLength = 24;
const zero = 48;
const minus = 45;
const isoText = isoTime();

/**
 * The bytes of the last line of one kind of request. The next line of that kind is made by replacing the values that
 * differ. These values are few and mostly keep their length, so that one call copies the whole line to the file's
 * buffer.
 */
export class LineTemplate {
  readonly #slots: readonly ValueSlot[];
  #bytes: Buffer;
  /** A view of the same memory, through which ids write several bytes at a time. */
  #stores: DataView;
  #length: number;
  /** The position and the length of each value, alternating. A plain array takes fewer cache lines than a typed one. */
  readonly #places: number[];
  /** The numbers that the line contains now, and for times the second. */
  readonly #numbers: number[];
  /** The texts and pieces that the line contains now. */
  readonly #values: (string | Uint8Array)[];
  /** The bytes of the line as a view. Undefined after the line's length has changed. */
  #line: Uint8Array | undefined;

  /** `pieces` contains the parts before each value and the part after the last. */
  constructor(slots: readonly ValueSlot[], pieces: readonly Uint8Array[]) {
    this.#slots = slots;
    this.#length = pieces.reduce((sum, { length }) => sum + length, 0);
    this.#bytes = Buffer.allocUnsafeSlow(this.#length + spareBytes);
    this.#stores = viewOf(this.#bytes);
    let end = 0;
    for (const piece of pieces) {
      this.#bytes.set(piece, end);
      end += piece.length;
    }
    end = 0;
    const [places, numbers, values]: [number[], number[], string[]] = [[], [], []];
    for (let slot = 0; slot < slots.length; slot += 1) {
      end += pieces[slot]?.length ?? 0;
      places.push(end, 0);
      numbers.push(NaN);
      values.push("");
    }
    // Copy the arrays, because a copy has no spare capacity.
    this.#places = places.slice();
    this.#numbers = numbers.slice();
    this.#values = values.slice();
  }

  /** The line of a request. The bytes are valid until the next call. */
  line(record: ExchangeRecord, capture: CaptureIndex, way: UpstreamWay | undefined): Uint8Array {
    const slots = this.#slots;
    for (let at = 0; at < slots.length; at += 1) {
      const { type, part, piece } = slots[at] ?? none;
      switch (type) {
        case "time":
          this.#time(at, record.startedMs);
          break;
        case "durationMs":
          this.#number(at, Math.round(record.durationMs));
          break;
        case "receivedBytes":
          this.#number(at, record.receivedBytes);
          break;
        case "sentBytes":
          this.#number(at, record.sentBytes);
          break;
        case "upstreamServiceMs":
          this.#number(at, record.upstreamServiceMs);
          break;
        case "answeredAfterMs":
          this.#number(at, Math.round(record.answeredAfterMs));
          break;
        case "way":
          this.#piece(at, way?.pieces[piece]);
          break;
        default: {
          const id = type === "id" ? record.randomId : undefined;
          if (id === undefined) this.#text(at, part?.(record, capture) ?? "");
          else this.#id(at, id);
        }
      }
    }
    return (this.#line ??= this.#bytes.subarray(0, this.#length));
  }

  /**
   * Writes a text if it differs from the one in the line. Requests of a connection often repeat a target, which then
   * stays in the line.
   */
  #text(slot: number, text: string): void {
    if (text === this.#values[slot]) return;
    this.#values[slot] = text;
    this.#write(slot, text);
  }

  #write(slot: number, text: string): void {
    const { length } = text;
    if (length !== this.#places[slot * 2 + 1]) this.#resize(slot, length);
    const at = this.#places[slot * 2] ?? 0;
    if (length > maxCopiedLetters) this.#bytes.write(text, at, "latin1");
    else for (let index = 0; index < length; index += 1) this.#bytes[at + index] = text.charCodeAt(index);
  }

  #id(slot: number, id: RandomUuid): void {
    this.#values[slot] = "";
    if (this.#places[slot * 2 + 1] !== uuidLetters) this.#resize(slot, uuidLetters);
    id.writeTo(this.#stores, this.#places[slot * 2] ?? 0);
  }

  #piece(slot: number, piece: Uint8Array | undefined): void {
    if (piece === undefined || piece === this.#values[slot]) return;
    this.#values[slot] = piece;
    if (piece.length !== this.#places[slot * 2 + 1]) this.#resize(slot, piece.length);
    this.#bytes.set(piece, this.#places[slot * 2] ?? 0);
  }

  /** A whole number, or `-` for a negative one. */
  #number(slot: number, value: number): void {
    if (value === this.#numbers[slot]) return;
    this.#numbers[slot] = value;
    let digits = 1;
    if (value >= 0) for (let bound = 10; value >= bound; bound *= 10) digits += 1;
    if (digits !== this.#places[slot * 2 + 1]) this.#resize(slot, digits);
    const first = this.#places[slot * 2] ?? 0;
    if (value < 0) {
      this.#bytes[first] = minus;
      return;
    }
    let rest = value;
    for (let at = first + digits - 1; at >= first; at -= 1) {
      const tenth = Math.floor(rest / 10);
      this.#bytes[at] = zero + (rest - tenth * 10);
      rest = tenth;
    }
  }

  /** Writes a time. Within the same second, only the milliseconds are written. */
  #time(slot: number, ms: number): void {
    const second = Math.floor(ms / msPerSecond);
    if (second !== this.#numbers[slot] || this.#places[slot * 2 + 1] !== isoLength || !(second >= 0)) {
      this.#numbers[slot] = second;
      this.#write(slot, isoText(ms));
      return;
    }
    const at = (this.#places[slot * 2] ?? 0) + millisecondsAt;
    const milliseconds = Math.floor(ms) - second * msPerSecond;
    const tens = Math.floor(milliseconds / 10);
    const hundreds = Math.floor(milliseconds / 100);
    this.#bytes[at] = zero + hundreds;
    this.#bytes[at + 1] = zero + tens - hundreds * 10;
    this.#bytes[at + 2] = zero + milliseconds - tens * 10;
  }

  /** Moves what follows a value, because the value's length changes. */
  #resize(slot: number, length: number): void {
    const end = (this.#places[slot * 2] ?? 0) + (this.#places[slot * 2 + 1] ?? 0);
    const difference = length - (this.#places[slot * 2 + 1] ?? 0);
    if (this.#length + difference > this.#bytes.length) this.#grow(this.#length + difference + spareBytes);
    this.#bytes.copyWithin(end + difference, end, this.#length);
    const places = this.#places;
    places[slot * 2 + 1] = length;
    this.#length += difference;
    this.#line = undefined;
    for (let later = slot * 2 + 2; later < places.length; later += 2) places[later] = (places[later] ?? 0) + difference;
  }

  #grow(capacity: number): void {
    const grown = Buffer.allocUnsafeSlow(capacity);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#stores = viewOf(grown);
  }
}

const none: ValueSlot = { type: "way", part: undefined, piece: -1 };
