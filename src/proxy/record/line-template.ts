import { RandomUuid, uuidLetters, uuidWords, viewOf } from "../terms/random-id.ts";
import { isoTime } from "./log-time.ts";

/** The numbers of a request that lines contain. */
export const lineNumbers = ["startedMs", "durationMs", "receivedBytes", "sentBytes", "upstreamServiceMs"] as const;
export type LineNumber = (typeof lineNumbers)[number];

/**
 * A value of a line that may differ from the previous request's. The index of a `number` or `time` refers to {@link
 * lineNumbers}, that of a `text` to the texts of the line, and that of a `way` to the pieces of its {@link
 * UpstreamWay}. `id` is the request's id. Its text has an index too, and is empty if the line has the numbers of a UUID
 * instead.
 */
export interface ValueSlot {
  readonly type: "number" | "time" | "text" | "id" | "way";
  readonly index: number;
}

/** What the lines of one upstream connection have in common. */
export interface UpstreamWay {
  readonly pieces: readonly Uint8Array[];
}

/** The inputs of lines that are written later. A reference to a record would keep the memory of its whole exchange. */
export class HeldLines {
  readonly ways: UpstreamWay[] = [];
  /** {@link lineNumbers} of each line. */
  readonly numbers: Float64Array;
  readonly textsPerLine: number;
  /** One byte for each character. */
  readonly texts: string[] = [];
  /** The numbers of each request's id. */
  readonly ids: Int32Array;

  constructor(lines: number, textsPerLine: number) {
    this.numbers = new Float64Array(lines * lineNumbers.length);
    this.ids = new Int32Array(lines * uuidWords);
    this.textsPerLine = textsPerLine;
  }
}

/**
 * The maximum length of a text that is copied character by character. For longer ones a call into the runtime is
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
 * differ, which are few and mostly have the same length. A copy of the whole line then takes one call.
 */
export class LineTemplate {
  readonly #slots: readonly ValueSlot[];
  #bytes: Buffer;
  /** Views the same memory. */
  #stores: DataView;
  #length: number;
  /** The position and the length of each value. */
  readonly #at: Int32Array;
  readonly #lengths: Int32Array;
  /** The current numbers, and the seconds of times. */
  readonly #numbers: Float64Array;
  readonly #pieces: (Uint8Array | undefined)[];
  /** The current texts. Empty for values of other types. */
  readonly #texts: string[];
  /** The bytes of the line. Undefined after its length has changed. */
  #line: Uint8Array | undefined;

  /** One piece precedes each value, and one follows the last. */
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
    this.#at = Int32Array.from(slots, (_, slot) => (end += pieces[slot]?.length ?? 0));
    this.#lengths = new Int32Array(slots.length);
    this.#numbers = new Float64Array(slots.length).fill(NaN);
    this.#pieces = slots.map(() => undefined);
    this.#texts = slots.map(() => "");
  }

  /** The line with the values of one held line. The bytes are valid until the next call. */
  line(held: HeldLines, line: number): Uint8Array {
    const slots = this.#slots;
    const firstNumber = line * lineNumbers.length;
    const firstText = line * held.textsPerLine;
    for (let slot = 0; slot < slots.length; slot += 1) {
      const { type, index } = slots[slot] ?? none;
      if (type === "text") this.#text(slot, held.texts[firstText + index] ?? "");
      else if (type === "way") this.#piece(slot, held.ways[line]?.pieces[index]);
      else if (type === "id") this.#id(slot, held.texts[firstText + index] ?? "", held.ids, line);
      else {
        const value = held.numbers[firstNumber + index] ?? 0;
        if (type === "time") this.#time(slot, value);
        else if (value !== this.#numbers[slot]) this.#number(slot, value);
      }
    }
    return (this.#line ??= this.#bytes.subarray(0, this.#length));
  }

  /** Requests of a connection often repeat a target, which then stays in the line. */
  #text(slot: number, text: string): void {
    if (text === this.#texts[slot]) return;
    this.#texts[slot] = text;
    this.#write(slot, text);
  }

  #write(slot: number, text: string): void {
    const { length } = text;
    if (length !== this.#lengths[slot]) this.#resize(slot, length);
    const at = this.#at[slot] ?? 0;
    if (length > maxCopiedLetters) this.#bytes.write(text, at, "latin1");
    else for (let index = 0; index < length; index += 1) this.#bytes[at + index] = text.charCodeAt(index);
  }

  #id(slot: number, text: string, ids: Int32Array, line: number): void {
    if (text !== "") {
      this.#text(slot, text);
      return;
    }
    this.#texts[slot] = "";
    if (this.#lengths[slot] !== uuidLetters) this.#resize(slot, uuidLetters);
    new RandomUuid(ids, line * uuidWords).writeTo(this.#stores, this.#at[slot] ?? 0);
  }

  #piece(slot: number, piece: Uint8Array | undefined): void {
    if (piece === undefined || piece === this.#pieces[slot]) return;
    this.#pieces[slot] = piece;
    if (piece.length !== this.#lengths[slot]) this.#resize(slot, piece.length);
    this.#bytes.set(piece, this.#at[slot] ?? 0);
  }

  /** A whole number, or `-` for a negative one. */
  #number(slot: number, value: number): void {
    this.#numbers[slot] = value;
    let digits = 1;
    if (value >= 0) for (let bound = 10; value >= bound; bound *= 10) digits += 1;
    if (digits !== this.#lengths[slot]) this.#resize(slot, digits);
    const first = this.#at[slot] ?? 0;
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

  /** Within a second, only the milliseconds change. */
  #time(slot: number, ms: number): void {
    const second = Math.floor(ms / msPerSecond);
    if (second !== this.#numbers[slot] || this.#lengths[slot] !== isoLength || !(second >= 0)) {
      this.#numbers[slot] = second;
      this.#write(slot, isoText(ms));
      return;
    }
    const at = (this.#at[slot] ?? 0) + millisecondsAt;
    const milliseconds = Math.floor(ms) - second * msPerSecond;
    const tens = Math.floor(milliseconds / 10);
    const hundreds = Math.floor(milliseconds / 100);
    this.#bytes[at] = zero + hundreds;
    this.#bytes[at + 1] = zero + tens - hundreds * 10;
    this.#bytes[at + 2] = zero + milliseconds - tens * 10;
  }

  /** Moves what follows a value to where its new length ends. */
  #resize(slot: number, length: number): void {
    const end = (this.#at[slot] ?? 0) + (this.#lengths[slot] ?? 0);
    const difference = length - (this.#lengths[slot] ?? 0);
    if (this.#length + difference > this.#bytes.length) this.#grow(this.#length + difference + spareBytes);
    this.#bytes.copyWithin(end + difference, end, this.#length);
    this.#lengths[slot] = length;
    this.#length += difference;
    this.#line = undefined;
    for (let later = slot + 1; later < this.#at.length; later += 1)
      this.#at[later] = (this.#at[later] ?? 0) + difference;
  }

  #grow(capacity: number): void {
    const grown = Buffer.allocUnsafeSlow(capacity);
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#stores = viewOf(grown);
  }
}

const none: ValueSlot = { type: "text", index: 0 };
