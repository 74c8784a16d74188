import type { AccessLog } from "../../telemetry/index.ts";
import type { UpstreamEnd } from "../terms/address-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { headText, textOfHead, utf8HeadText } from "../terms/header-text.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { LineTemplate, type LineNumber, type LogPart, type UpstreamWay, type ValueSlot } from "./line-template.ts";
import { RequestKind } from "./request-kind.ts";

/**
 * How long a value stays the same: for one request, for all requests of one kind on a connection (see {@link
 * RequestKind}), or for one upstream connection (`way`).
 */
export type ValueSpan = "request" | "kind" | "way";
/**
 * The encoding of a value's characters. `head` means bytes of a header, which lines in files contain unchanged. `bytes`
 * means one byte for each character.
 */
export type ValueLetters = "head" | "bytes" | "text";

export interface LineValue {
  readonly part: LogPart;
  readonly span: ValueSpan;
  readonly letters: ValueLetters;
  /**
   * The number that the value shows, which is written without making a string of it. `startedMs` is written as a time.
   */
  readonly number?: LineNumber;
  /** Whether the value is the request's id. The id can mostly be written without a string too. */
  readonly isRequestId?: boolean;
}

/** The maximum size of a line that is kept, with its template, for the next request of its kind. */
const maxKeptBytes = 4096;

/**
 * The maximum length of a line, in characters or bytes. What exceeds it is cut off. Otherwise a format that repeats a
 * long header of the client could fill the memory. A line must also fit into the buffer of its file, which drops longer
 * ones, so that a client could hide its request.
 */
export const maxLineLength = 131_072;
/**
 * The maximum number of values in a format whose lines are made from the previous line. If a value has another length
 * than before, all later ones move, so the time grows with the square of their number.
 */
const maxTemplateValues = 64;

/**
 * Composes the lines of a format, as text or as the bytes of a file.
 *
 * Most of a line is the same as for the previous request of the connection. While the requests are of one kind (method,
 * host, client, route, response), only the values that differ are written into the bytes of the previous line.
 */
export class LineComposer {
  readonly #all: (string | LineValue)[] = [];
  #values = 0;
  /** Values that may differ for each request. `#runs` has the parts before each of them and after the last. */
  readonly #slots: ValueSlot[] = [];
  readonly #runs: (string | LineValue)[][] = [[]];
  /**
   * The parts that depend on the upstream connection, in runs, with the texts between them. A run that is last in the
   * list may still grow.
   */
  readonly #wayRuns: (string | LineValue)[][] = [];
  /**
   * The kinds of requests of this format on connections whose {@link ConnectionInfo.logKind} another format uses.
   * `#ways` has the same for upstream connections.
   */
  readonly #kinds = new WeakMap<ConnectionInfo, RequestKind>();
  readonly #ways = new WeakMap<UpstreamEnd, ComposedWay>();
  /** The values with the span `way` of a request that has no upstream connection. */
  #wayWithoutEnd: ComposedWay | undefined;

  text(text: string): void {
    this.#all.push(text);
    this.#runs.at(-1)?.push(text);
  }

  value(value: LineValue): void {
    this.#all.push(value);
    this.#values += 1;
    if (this.#values > maxTemplateValues) return;
    const between = this.#runs.at(-1) ?? [];
    if (value.span === "kind") {
      between.push(value);
      return;
    }
    if (value.span === "way") {
      const isNext = this.#slots.at(-1)?.type === "way" && between.every((part) => typeof part === "string");
      if (isNext) {
        this.#wayRuns.at(-1)?.push(...between.splice(0), value);
        return;
      }
      this.#slots.push({ type: "way", part: undefined, piece: this.#wayRuns.push([value]) - 1 });
    } else if (value.number === undefined)
      this.#slots.push({ type: value.isRequestId === true ? "id" : "text", part: bytesPart(value), piece: -1 });
    else this.#slots.push({ type: value.number === "startedMs" ? "time" : value.number, part: undefined, piece: -1 });
    this.#runs.push([]);
  }

  line(record: ExchangeRecord, capture: CaptureIndex): string {
    let out = "";
    for (const piece of this.#all) {
      out +=
        typeof piece === "string"
          ? piece
          : piece.letters === "text"
            ? piece.part(record, capture)
            : textOfHead(piece.part(record, capture));
      if (out.length > maxLineLength) return out.slice(0, maxLineLength);
    }
    return out;
  }

  write(file: AccessLog, record: ExchangeRecord, capture: CaptureIndex): void {
    if (this.#values > maxTemplateValues) {
      writeLongLine(file, Buffer.from(this.#wholeLine(record, capture), "latin1"));
      return;
    }
    const kind = this.#kindOf(record, capture);
    const way = this.#wayRuns.length > 0 ? this.#wayOf(record, capture) : undefined;
    const bytes = kind.template.line(record, capture, way);
    if (bytes.length > maxKeptBytes) {
      writeLongLine(file, bytes);
      this.#forget(kind);
      return;
    }
    do file.begin().piece(bytes);
    while (!file.end());
  }

  /** The line of a format with many values, with one character for each byte. */
  #wholeLine(record: ExchangeRecord, capture: CaptureIndex): string {
    let out = "";
    for (const piece of this.#all) {
      out += typeof piece === "string" ? utf8HeadText(piece) : bytesPart(piece)(record, capture);
      if (out.length > maxLineLength) break;
    }
    return out;
  }

  #kindOf(record: ExchangeRecord, capture: CaptureIndex): RequestKind {
    const { connection } = record;
    const { logKind } = connection;
    const ours =
      logKind instanceof RequestKind && logKind.owner === this && logKind.connection === connection
        ? logKind
        : undefined;
    const isOwn = ours !== undefined || logKind === undefined;
    const kind = isOwn ? ours : this.#kinds.get(connection);
    if (kind?.has(record) === true) return kind;
    const pieces = this.#runs.map((run) => bytesOf(run, record, capture));
    const made = new RequestKind(this, record, new LineTemplate(this.#slots, pieces));
    if (isOwn) connection.logKind = made;
    else this.#kinds.set(connection, made);
    return made;
  }

  #forget({ connection }: RequestKind): void {
    const { logKind } = connection;
    if (logKind instanceof RequestKind && logKind.owner === this) delete connection.logKind;
    this.#kinds.delete(connection);
  }

  #wayOf(record: ExchangeRecord, capture: CaptureIndex): ComposedWay {
    const { upstreamEnd: end } = record;
    if (end === undefined) {
      const last = this.#wayWithoutEnd;
      if (last?.isOf(record) === true && last.local === record.upstreamLocal) return last;
      return (this.#wayWithoutEnd = this.#composeWay(record, capture));
    }
    const { logPart } = end;
    const ours = logPart instanceof ComposedWay && logPart.owner === this ? logPart : undefined;
    const isOwn = ours !== undefined || logPart === undefined;
    const way = isOwn ? ours : this.#ways.get(end);
    if (way?.isOf(record) === true) return way;
    const made = this.#composeWay(record, capture);
    if (isOwn) end.logPart = made;
    else this.#ways.set(end, made);
    return made;
  }

  #composeWay(record: ExchangeRecord, capture: CaptureIndex): ComposedWay {
    return new ComposedWay(
      this,
      record,
      this.#wayRuns.map((run) => bytesOf(run, record, capture)),
    );
  }
}

/** Writes a line of any length. A line that is cut still ends with a newline. */
function writeLongLine(file: AccessLog, bytes: Uint8Array): void {
  const isLong = bytes.length > maxLineLength;
  do {
    const buffer = file.begin();
    buffer.piece(isLong ? bytes.subarray(0, maxLineLength) : bytes);
    if (isLong) buffer.piece(newline);
  } while (!file.end());
}

const newline = Buffer.from("\n");

/** The values of a format that stay the same for one upstream connection. */
class ComposedWay implements UpstreamWay {
  /** The composer that made this object. */
  readonly owner: object;
  readonly local: string;
  readonly #cluster: ExchangeRecord["cluster"];
  readonly #endpoint: ExchangeRecord["endpoint"];
  readonly pieces: readonly Uint8Array[];

  constructor(owner: object, record: ExchangeRecord, pieces: readonly Uint8Array[]) {
    this.owner = owner;
    this.local = record.upstreamLocal;
    this.#cluster = record.cluster;
    this.#endpoint = record.endpoint;
    this.pieces = pieces;
  }

  isOf({ cluster, endpoint }: ExchangeRecord): boolean {
    return this.#cluster === cluster && this.#endpoint === endpoint;
  }
}

function bytesOf(run: readonly (string | LineValue)[], record: ExchangeRecord, capture: CaptureIndex): Buffer {
  return Buffer.concat(
    run.map((piece) =>
      typeof piece === "string" ? Buffer.from(piece) : Buffer.from(bytesPart(piece)(record, capture), "latin1"),
    ),
  );
}

/** The text of a value in the form that files need: one character for each byte. */
function bytesPart({ part, letters }: LineValue): LogPart {
  if (letters === "bytes") return part;
  const encode = letters === "head" ? headText : utf8HeadText;
  return (record, capture) => encode(part(record, capture));
}
