import { internalError } from "../../base/index.ts";
import { bodyFramings, MessageHead, scanResponseHead, statusText, type BodyFraming } from "../../wire/http1/index.ts";
import type { FilterResponse, HttpFilter, LocalReply, RequestBodyStart } from "../filters/http-filter.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { FilterPass } from "./filter-pass.ts";
import { headText } from "./header-text.ts";
import { HeldBody } from "./held-body.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** The part of a response's body that is read before a filter asks for it. The rest waits at the upstream. */
const maxUnaskedBytes = 64 * 1024;
const framingFields: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);
const composedLimits = { maxHeadBytes: 1_048_576, maxFields: 250 };
/** This thread handles one head at a time, so all responses share it. */
const composedHead = new MessageHead(composedLimits);
/** The router adds it before filters see the response, so they may remove it. */
const serviceTimeHeader = "x-envoy-upstream-service-time";

/** A composed response: its head, and the first part of its body. */
interface ComposedAnswer {
  readonly head: MessageHead;
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
  readonly framing: BodyFraming;
}

/** A response on its way back through the filters. It is held while a filter needs time, or waits for the body. */
export class AnswerPass implements FilterResponse {
  readonly request: FilterPass;
  status: number;
  fields: Fields;
  trailers: readonly string[] | undefined;
  /** The body, if a filter has replaced it. */
  newBody: Buffer | undefined;
  /** The body arrives without the framing of chunks. */
  readonly #held = new HeldBody(false);
  readonly #askUpstream: () => void;

  constructor(
    request: FilterPass,
    answer: { readonly status: number; readonly fields: Fields },
    askUpstream: () => void,
  ) {
    this.request = request;
    this.status = answer.status;
    this.fields = answer.fields;
    this.#askUpstream = askUpstream;
  }

  /** Whether the upstream has sent the whole response. */
  get complete(): boolean {
    return this.#held.complete;
  }

  /** Adds a part of the body. Returns false if no filter waits for more, so that the rest can wait at the upstream. */
  add(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    this.#held.add(bytes, from, to, last);
    return this.#held.wanted || this.#held.size <= maxUnaskedBytes;
  }

  /** Ends the body with trailers (names and values, alternating). */
  end(trailers: readonly string[]): void {
    this.trailers = trailers;
    this.#held.end();
  }

  async bodyStart(limit: number): Promise<RequestBodyStart> {
    const start = this.#held.start(limit);
    if (this.#held.wanted) this.#askUpstream();
    const { bytes, whole } = await start;
    return { bytes: this.newBody?.subarray(0, limit) ?? bytes, whole };
  }

  replaceBody(bytes: Buffer): void {
    this.newBody = bytes;
    this.fields = [
      ...this.fields.filter(([name]) => name !== "content-length" && name !== "transfer-encoding"),
      ["content-length", String(bytes.length)],
    ];
  }

  body(): Buffer {
    return this.newBody ?? this.#held.bytes();
  }

  /** Runs the filters, last one first. A filter's reply replaces the response. */
  run(
    filters: readonly HttpFilter[],
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    for (let index = filters.length - 1; index >= 0; index -= 1) {
      const result = filters[index]?.onResponse?.(this, signal);
      if (result === undefined) continue;
      return result instanceof Promise ? this.#runLater(result, filters, index - 1, signal) : result;
    }
    return undefined;
  }

  /**
   * Composes the current head and the received part of the body in one buffer. The result is valid until the next one
   * is composed. A chunked body loses its framing.
   */
  compose(framing: BodyFraming, toHead: boolean): ComposedAnswer {
    const bodiless = toHead || this.status === 204 || this.status === 304;
    let text = `HTTP/1.1 ${this.status} ${statusText(this.status)}\r\n`;
    for (const [name, value] of this.fields)
      if (this.status !== 204 || !framingFields.has(name)) text += `${name}: ${value}\r\n`;
    const head = Buffer.from(headText(`${text}\r\n`), "latin1");
    const bytes = bodiless ? head : Buffer.concat([head, this.body()]);
    if (scanResponseHead(composedHead, bytes, 0, head.length, composedLimits) <= 0)
      throw internalError("bad-filter-edit", "a filter made a response's head unreadable");
    return {
      head: composedHead,
      from: head.length,
      to: bytes.length,
      last: bodiless || this.newBody !== undefined || (this.complete && this.trailers === undefined),
      framing: bodiless
        ? bodyFramings.none
        : this.newBody !== undefined
          ? bodyFramings.length
          : framing === bodyFramings.chunked
            ? bodyFramings.untilClose
            : framing,
    };
  }

  async #runLater(
    first: Promise<LocalReply | undefined>,
    filters: readonly HttpFilter[],
    next: number,
    signal: () => AbortSignal,
  ): Promise<LocalReply | undefined> {
    const reply = await first;
    if (reply !== undefined) return reply;
    for (let index = next; index >= 0; index -= 1) {
      const later = await filters[index]?.onResponse?.(this, signal);
      if (later !== undefined) return later;
    }
    return undefined;
  }
}

/** The fields of an upstream's head after the route's edits, as filters see them. */
export function answerFields(head: MessageHead, edits: HeaderEdits | undefined, serviceMs: number): Fields {
  const fields: (readonly [name: string, value: string])[] = [];
  for (let field = 0; field < head.fieldCount; field += 1) {
    const name = head.name(field).toLowerCase();
    if (name !== serviceTimeHeader && edits?.dropped.has(name) !== true) fields.push([name, head.value(field)]);
  }
  if (serviceMs >= 0 && edits?.dropped.has(serviceTimeHeader) !== true)
    fields.push([serviceTimeHeader, String(serviceMs)]);
  return edits === undefined ? fields : [...fields, ...edits.added];
}

const noEdits: HeaderEdits = { dropped: new Set(), added: [] };
const noServiceTime: HeaderEdits = { dropped: new Set([serviceTimeHeader]), added: [] };

/** The remaining edits when the head is written. A field that a filter removed is not added again. */
export function shownEdits(fields: Fields): HeaderEdits {
  return fields.some(([name]) => name === serviceTimeHeader) ? noEdits : noServiceTime;
}

/** The fields of the proxy's own response, including those that describe its body. */
export function describedFields({ body, fields }: { readonly body: string | Buffer; readonly fields: Fields }): Fields {
  const size = Buffer.byteLength(body);
  const typed = size === 0 || fields.some(([name]) => name === "content-type");
  return [
    ...fields.map(([name, value]) => [name.toLowerCase(), value] as const),
    ["content-length", String(size)],
    ...(typed ? [] : [["content-type", "text/plain"] as const]),
  ];
}
