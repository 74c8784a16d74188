import { equalsIgnoringCase, type FieldKind } from "./field-kind.ts";

/** The limits of a head. The defaults are Envoy's. */
export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export const defaultHeadLimits: HeadLimits = { maxHeadBytes: 60 * 1024, maxFields: 100 };

export interface HeadError {
  readonly status: 400 | 426 | 431 | 501 | 505;
  readonly reason: string;
}

/**
 * A scanned head: offsets into its bytes, so that nothing is copied. The next scan uses the same object, so do not keep
 * it.
 */
export class MessageHead {
  bytes: Buffer = Buffer.alloc(0);
  /** Where the start line begins (after skipped empty lines), and where the head ends (after its empty line). */
  start = 0;
  end = 0;
  /** Where the first header begins, after the start line's CRLF. */
  fieldsStart = 0;
  fieldCount = 0;
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  readonly valueStarts: Int32Array;
  readonly valueEnds: Int32Array;
  /** Where each header's line ends, after its CRLF. The line begins at the name. */
  readonly lineEnds: Int32Array;
  readonly kinds: Uint8Array;
  /** One bit for the length of each name, modulo 32. Most absent names are found to be absent by this alone. */
  nameLengths = 0;

  /** 0 for HTTP/1.0, and 1 for HTTP/1.1. */
  minorVersion = 1;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  status = 0;

  /** -1 if absent. */
  contentLength = -1;
  chunked = false;
  connectionClose = false;
  connectionKeepAlive = false;
  connectionUpgrade = false;
  /** Whether the header `connection` names other headers, which then apply only to this hop. */
  connectionNominates = false;
  expectsContinue = false;
  /** Whether a header belongs to a trace. Any name that begins with `x-envoy-` counts, because it may. */
  mayTellOfTrace = false;
  /** The index of the header `host`. -1 if there is none. */
  hostField = -1;
  upgradeField = -1;

  error: HeadError | undefined;

  /**
   * The results of the last look-ups, because routes and policies read the same header one after another. -1 means
   * none.
   */
  #foundField = -1;
  #foundName = "";
  #readField = -1;
  #readValue = "";

  constructor(limits: HeadLimits = defaultHeadLimits) {
    const capacity = limits.maxFields;
    this.nameStarts = new Int32Array(capacity);
    this.nameEnds = new Int32Array(capacity);
    this.valueStarts = new Int32Array(capacity);
    this.valueEnds = new Int32Array(capacity);
    this.lineEnds = new Int32Array(capacity);
    this.kinds = new Uint8Array(capacity);
  }

  reset(bytes: Buffer, start: number): void {
    this.bytes = bytes;
    this.start = start;
    this.fieldCount = 0;
    this.nameLengths = 0;
    this.contentLength = -1;
    this.chunked = false;
    this.connectionClose = false;
    this.connectionKeepAlive = false;
    this.connectionUpgrade = false;
    this.connectionNominates = false;
    this.expectsContinue = false;
    this.mayTellOfTrace = false;
    this.hostField = -1;
    this.upgradeField = -1;
    this.error = undefined;
    this.#foundField = -1;
    this.#readField = -1;
    this.#readValue = "";
  }

  method(): string {
    const { bytes, start } = this;
    const usual = usualMethods[this.methodEnd - start] ?? none;
    for (let index = 0; index < usual.length; index += 1) {
      const method = usual[index] ?? "";
      if (startsWith(bytes, start, method)) return method;
    }
    return bytes.toString("latin1", start, this.methodEnd);
  }

  target(): string {
    return this.bytes.toString("latin1", this.targetStart, this.targetEnd);
  }

  kind(field: number): FieldKind {
    return (this.kinds[field] ?? 0) as FieldKind;
  }

  name(field: number): string {
    return this.bytes.toString("latin1", this.nameStarts[field] ?? 0, this.nameEnds[field] ?? 0);
  }

  value(field: number): string {
    if (field !== this.#readField) {
      this.#readValue = this.bytes.toString("latin1", this.valueStarts[field] ?? 0, this.valueEnds[field] ?? 0);
      this.#readField = field;
    }
    return this.#readValue;
  }

  /** The index of the first header with this name (in lower case), from index `from` on. -1 if there is none. */
  find(name: string, from = 0): number {
    if ((this.nameLengths & (1 << name.length)) === 0) return -1;
    if (from > 0) return this.#search(name, from);
    if (this.#foundField < 0 || name !== this.#foundName) {
      this.#foundField = this.#search(name, 0);
      this.#foundName = name;
    }
    return this.#foundField;
  }

  #search(name: string, from: number): number {
    const { length } = name;
    for (let field = from; field < this.fieldCount; field += 1) {
      const start = this.nameStarts[field] ?? 0;
      if ((this.nameEnds[field] ?? 0) - start === length && equalsIgnoringCase(this.bytes, start, name)) return field;
    }
    return -1;
  }

  /**
   * The values of all headers with this name (in lower case), joined by commas as in a single header. Undefined if
   * there is none.
   */
  get(name: string): string | undefined {
    let field = this.find(name);
    if (field < 0) return undefined;
    let joined = this.value(field);
    while ((field = this.find(name, field + 1)) >= 0) joined += `,${this.value(field)}`;
    return joined;
  }

  /** The values of all headers with this name (in lower case). */
  values(name: string): string[] {
    const values: string[] = [];
    for (let field = this.find(name); field >= 0; field = this.find(name, field + 1)) values.push(this.value(field));
    return values;
  }

  /** Whether a header's comma-separated list contains the token in any case. `token` must be in lower case. */
  hasToken(field: number, token: string): boolean {
    return this.value(field)
      .split(",")
      .some((part) => part.trim().toLowerCase() === token);
  }
}

const none: readonly string[] = [];
/** Names of methods by their length. Reading one of these methods makes no new string. */
const usualMethods: readonly (readonly string[])[] = Array.from({ length: 8 }, (_, length) =>
  ["GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "CONNECT"].filter((method) => method.length === length),
);

function startsWith(bytes: Uint8Array, start: number, text: string): boolean {
  for (let index = 0; index < text.length; index += 1)
    if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}
