import { moduleCache } from "../../base/index.ts";
import { COLON, CR, HTAB, isFieldValue, isTarget, isToken, LF, SP } from "./characters.ts";
import { fieldKindOf, fieldKinds, type FieldKind } from "./field-kind.ts";
import type { HeadLimits, MessageHead } from "./message-head.ts";
import { checkRequest, checkResponse, noteField } from "./scan-head.ts";
import { statusText } from "./status-text.ts";

const initialBytes = 4096;
/** A larger buffer is not kept for the next head. */
const keepBytes = 65_536;
const versionAndLineEnd = latin1(" HTTP/1.1\r\n");
const isLowerToken = Uint8Array.from(isToken, (accepted, byte) => (byte >= 65 && byte <= 90 ? 0 : accepted));

interface UsualName {
  /** The name, a colon and a space. */
  readonly start: Uint8Array;
  readonly kind: FieldKind;
}

/** The cached status lines. A status has three digits, so all of them fit. */
const statusLines = moduleCache<number, Uint8Array>("status-lines", 1_000);

/**
 * Writes heads of HTTP/1.1 from strings, one after another in the same memory. It describes each head in a {@link
 * MessageHead}, just as a scan of the written bytes would. A method returns false if a scan would refuse the head, or
 * if the part is unusual. The caller then writes the head as text and scans it, which finds the reason.
 */
export class HeadWriter {
  readonly head: MessageHead;
  readonly #usualNames: ReadonlyMap<string, UsualName>;
  #bytes: Buffer = Buffer.allocUnsafeSlow(initialBytes);
  #at = 0;

  /** `usualNames` must be in lower case. */
  constructor(head: MessageHead, usualNames: Iterable<string>) {
    this.head = head;
    this.#usualNames = new Map(
      Array.from(usualNames, (name) => {
        const start = latin1(`${name}: `);
        return [name, { start, kind: fieldKindOf(start, 0, name.length) }] as const;
      }),
    );
  }

  /** Begins a request's head. The previous head is no longer valid. */
  beginRequest(method: string, target: string): boolean {
    this.#begin();
    this.#reserve(method.length + target.length + versionAndLineEnd.length + 1);
    const isSound = this.#put(method, isToken);
    const { head } = this;
    head.methodEnd = this.#at;
    this.#bytes[this.#at] = SP;
    this.#at += 1;
    head.targetStart = this.#at;
    if (!this.#put(target, isTarget) || !isSound) return false;
    head.targetEnd = this.#at;
    this.#putBytes(versionAndLineEnd);
    head.fieldsStart = this.#at;
    return method !== "" && target !== "";
  }

  /** Begins a response's head. The previous head is no longer valid. `status` must have three digits. */
  beginResponse(status: number): void {
    let line = statusLines.get(status);
    if (line === undefined) {
      line = latin1(`HTTP/1.1 ${status} ${statusText(status)}\r\n`);
      statusLines.set(status, line);
    }
    this.#begin();
    this.#reserve(line.length);
    this.#putBytes(line);
    this.head.status = status;
    this.head.fieldsStart = this.#at;
  }

  /** Adds a field. Returns false if a part is unusual, which includes a name with capitals. */
  field(name: string, value: string, limits: HeadLimits): boolean {
    const { head } = this;
    const field = head.fieldCount;
    if (field >= limits.maxFields || field >= head.nameStarts.length || name === "") return false;
    this.#reserve(name.length + value.length + 4);
    const nameStart = this.#at;
    const nameEnd = nameStart + name.length;
    const usual = this.#usualNames.get(name);
    if (usual !== undefined) this.#putBytes(usual.start);
    else if (!this.#putName(name)) return false;
    const valueStart = this.#at;
    if (!this.#put(value, isFieldValue)) return false;
    head.nameStarts[field] = nameStart;
    head.nameEnds[field] = nameEnd;
    this.#placeValue(field, valueStart, this.#at);
    this.#putLineEnd();
    head.lineEnds[field] = this.#at;
    const kind = usual === undefined ? fieldKindOf(this.#bytes, nameStart, nameEnd) : usual.kind;
    head.kinds[field] = kind;
    head.nameLengths |= 1 << name.length;
    head.fieldCount = field + 1;
    return kind === fieldKinds.other || noteField(head, field, kind);
  }

  endRequest(limits: HeadLimits): boolean {
    return this.#end(limits) && checkRequest(this.head);
  }

  endResponse(limits: HeadLimits): boolean {
    return this.#end(limits) && checkResponse(this.head);
  }

  #begin(): void {
    if (this.#bytes.length > keepBytes) this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
    this.#at = 0;
    this.head.reset(this.#bytes, 0);
    this.head.minorVersion = 1;
  }

  #end(limits: HeadLimits): boolean {
    this.#reserve(2);
    this.#putLineEnd();
    this.head.end = this.#at;
    return this.#at <= limits.maxHeadBytes;
  }

  /** Notes where a field's value is, without the spaces around it. */
  #placeValue(field: number, from: number, to: number): void {
    let start = from;
    let end = to;
    while (start < end && isSpace(this.#bytes[start])) start += 1;
    while (end > start && isSpace(this.#bytes[end - 1])) end -= 1;
    this.head.valueStarts[field] = start;
    this.head.valueEnds[field] = end;
  }

  #putName(name: string): boolean {
    const isSound = this.#put(name, isLowerToken);
    this.#bytes[this.#at] = COLON;
    this.#bytes[this.#at + 1] = SP;
    this.#at += 2;
    return isSound;
  }

  /** Writes a text. Returns whether `accepted` allows all of its characters. */
  #put(text: string, accepted: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    let isSound = 1;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      bytes[at + index] = code;
      isSound &= accepted[code] ?? 0;
    }
    this.#at = at + text.length;
    return isSound === 1;
  }

  #putBytes(source: Uint8Array): void {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let index = 0; index < source.length; index += 1) bytes[at + index] = source[index] ?? 0;
    this.#at = at + source.length;
  }

  #putLineEnd(): void {
    this.#bytes[this.#at] = CR;
    this.#bytes[this.#at + 1] = LF;
    this.#at += 2;
  }

  #reserve(length: number): void {
    const needed = this.#at + length;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
    this.head.bytes = larger;
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === SP || byte === HTAB;
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
