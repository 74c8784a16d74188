import type { AccessLog, LineBuffer, LineHolder } from "../../telemetry/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { headText, textOfHead } from "../terms/header-text.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { HeldLine } from "./held-line.ts";
import { RequestKind } from "./request-kind.ts";

/** The text of an operator in a line. `-` if it has no value. */
export type LogPart = (record: ExchangeRecord, capture: CaptureIndex) => string;
/** Writes a value of each request into a line. */
export type WritePart = (out: LineBuffer, line: HeldLine) => void;

/**
 * How long a value is valid: for one request, for all requests of one kind on a connection (see `RequestKind`), or for
 * one upstream connection.
 */
export type ValueSpan = "request" | "kind" | "way";
/**
 * The encoding of a value's characters. `head`: bytes of a header, which lines in files contain unchanged. `bytes`: one
 * byte for each character.
 */
export type ValueLetters = "head" | "bytes" | "text";

export interface LineValue {
  readonly part: LogPart;
  readonly span: ValueSpan;
  readonly letters: ValueLetters;
  /** Writes the value of a request without creating a string. */
  readonly write?: WritePart;
}

/** The number of lines that are written together. Formatting many in a row keeps its code in the processor's caches. */
const maxHeldLines = 64;
/** Total length of the texts of held lines. A line that is longer than this is written at once. */
const maxHeldLetters = 65_536;

/**
 * Composes the lines of a format, as text or as bytes of a file. Most of a line is the same as for the previous request
 * of the connection. While requests are of one kind (method, host, client, route, response), the part that depends on
 * the kind is kept as bytes.
 */
export class LineComposer implements LineHolder {
  /** Texts and values in their order. */
  readonly #all: (string | LineValue)[] = [];
  /** Values that differ for each request. A run of other parts precedes each of them and follows the last. */
  readonly #writes: WritePart[] = [];
  readonly #runs: (string | LineValue)[][] = [[]];
  /** Values of a request that are held as texts. */
  readonly #texts: LogPart[] = [];
  /** The current run of values that depend on the upstream connection. The next value may extend it. */
  #ways: WayPieces | undefined;
  /** The kinds of connections that store the kind of another format themselves. */
  readonly #kinds = new WeakMap<ConnectionInfo, RequestKind>();
  /** Used again and again. */
  readonly #lines: HeldLine[] = [];
  #held = 0;
  #heldLetters = 0;
  #file: AccessLog | undefined;

  text(text: string): void {
    this.#all.push(text);
    this.#runs.at(-1)?.push(text);
  }

  value(value: LineValue): void {
    this.#all.push(value);
    if (value.span === "kind") {
      this.#runs.at(-1)?.push(value);
      return;
    }
    const between = this.#runs.at(-1) ?? [];
    if (value.span === "way" && this.#ways !== undefined && between.every((one) => typeof one === "string")) {
      this.#ways.add(between.join(""), value.part);
      between.length = 0;
      return;
    }
    this.#ways = value.span === "way" ? new WayPieces(value.part) : undefined;
    this.#writes.push(this.#ways?.write ?? value.write ?? this.#writeText(value));
    this.#runs.push([]);
  }

  #writeText({ part, letters }: LineValue): WritePart {
    const index = this.#texts.push(part) - 1;
    if (letters === "bytes") return (out, { texts }) => out.latin1(texts[index] ?? "");
    if (letters === "head") return (out, { texts }) => out.latin1(headText(texts[index] ?? ""));
    return (out, { texts }) => out.text(texts[index] ?? "");
  }

  line(record: ExchangeRecord, capture: CaptureIndex): string {
    let out = "";
    for (const one of this.#all)
      out +=
        typeof one === "string"
          ? one
          : one.letters === "text"
            ? one.part(record, capture)
            : textOfHead(one.part(record, capture));
    return out;
  }

  /** The line is written with those of other requests, at the latest before the file's next write. */
  write(file: AccessLog, record: ExchangeRecord, capture: CaptureIndex): void {
    if (this.#file !== file) {
      this.release();
      this.#file = file;
    }
    const kind = this.#kindOf(record, capture);
    let line = this.#lines[this.#held];
    if (line === undefined) this.#lines.push((line = new HeldLine(kind)));
    line.take(kind, record);
    const parts = this.#texts;
    const { texts } = line;
    for (let index = 0; index < parts.length; index += 1) {
      const text = parts[index]?.(record, capture) ?? "";
      texts[index] = text;
      this.#heldLetters += text.length;
    }
    if (this.#held === 0) file.held(this);
    this.#held += 1;
    if (this.#held >= maxHeldLines || this.#heldLetters > maxHeldLetters) this.release();
  }

  release(): void {
    const file = this.#file;
    const held = this.#held;
    this.#held = 0;
    this.#heldLetters = 0;
    if (file === undefined) return;
    for (let index = 0; index < held; index += 1) {
      const line = this.#lines[index];
      if (line === undefined) return;
      do this.#put(file.begin(), line);
      while (!file.end());
    }
  }

  #put(out: LineBuffer, line: HeldLine): void {
    const { bytes, ends } = line.kind;
    const writes = this.#writes;
    let from = 0;
    for (let index = 0; index < ends.length; index += 1) {
      const to = ends[index] ?? 0;
      if (to > from) out.piece(bytes, from, to);
      from = to;
      writes[index]?.(out, line);
    }
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
    const bytesOf = (one: string | LineValue): Buffer =>
      typeof one === "string"
        ? Buffer.from(one)
        : one.letters === "text"
          ? Buffer.from(one.part(record, capture))
          : Buffer.from(headText(one.part(record, capture)), "latin1");
    const made = new RequestKind(
      this,
      record,
      this.#runs.map((run) => Buffer.concat(run.map(bytesOf))),
    );
    if (isOwn) connection.logKind = made;
    else this.#kinds.set(connection, made);
    return made;
  }
}

/** The number of upstream connections whose bytes are kept. */
const maxWays = 1024;
const noCapture: CaptureIndex = { request: new Map(), response: new Map() };

/** Values that depend only on the request's cluster, its endpoint and the connection to it. */
class WayPieces {
  readonly #texts = [""];
  readonly #parts: LogPart[];
  /** Keyed by our end of the connection. */
  readonly #kept = new Map<string, Pick<ExchangeRecord, "cluster" | "endpoint"> & { readonly piece: Uint8Array }>();

  constructor(first: LogPart) {
    this.#parts = [first];
  }

  /** Adds one value with the text before it. */
  add(text: string, part: LogPart): void {
    this.#texts.push(text);
    this.#parts.push(part);
  }

  readonly write: WritePart = (out, line) => {
    const { upstreamLocal, cluster, endpoint } = line;
    let way = this.#kept.get(upstreamLocal);
    if (way === undefined || way.endpoint !== endpoint || way.cluster !== cluster) {
      if (this.#kept.size >= maxWays) this.#kept.clear();
      // For an upstream connection, a held line records everything that its parts need.
      const text = this.#parts
        .map((part, index) => (this.#texts[index] ?? "") + part(line as unknown as ExchangeRecord, noCapture))
        .join("");
      this.#kept.set(upstreamLocal, (way = { cluster, endpoint, piece: new Uint8Array(Buffer.from(text)) }));
    }
    out.piece(way.piece);
  };
}
