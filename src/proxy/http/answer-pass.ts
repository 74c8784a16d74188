import { internalError } from "../../base/index.ts";
import { bodyFramings, MessageHead, scanResponseHead, statusText, type BodyFraming } from "../../wire/http1/index.ts";
import type { FilterResponse, HttpFilter, LocalReply, RequestBodyStart } from "../filters/http-filter.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { FilterPass } from "./filter-pass.ts";
import { headText } from "./header-text.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** What came of a response before filters asked for its body. More than this waits at the upstream. */
const maxUnaskedBytes = 64 * 1024;
const framingFields: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);
const composedLimits = { maxHeadBytes: 1_048_576, maxFields: 250 };
/** This thread passes on one head at a time. */
const composedHead = new MessageHead(composedLimits);
/** The router adds it before filters see the response, so they may remove it. */
const serviceTimeHeader = "x-envoy-upstream-service-time";

/** A response as the client's side takes it: a head, and the first part of its body. */
interface ComposedAnswer {
  readonly head: MessageHead;
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
  readonly framing: BodyFraming;
}

/** A response on its way back through the filters. It is held as long as one of them needs time, or its body. */
export class AnswerPass implements FilterResponse {
  readonly request: FilterPass;
  status: number;
  fields: Fields;
  trailers: readonly string[] | undefined;
  /** The upstream has given all of it. */
  complete: boolean;
  /** The body, if a filter has replaced it. */
  newBody: Buffer | undefined;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #wanted: { readonly limit: number; readonly resolve: (start: RequestBodyStart) => void } | undefined;
  readonly #askUpstream: () => void;

  constructor(
    request: FilterPass,
    answer: { readonly status: number; readonly fields: Fields; readonly complete: boolean },
    askUpstream: () => void,
  ) {
    this.request = request;
    this.status = answer.status;
    this.fields = answer.fields;
    this.complete = answer.complete;
    this.#askUpstream = askUpstream;
  }

  /** More of the body. False: no filter waits for it, so that the rest may wait at the upstream. */
  add(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    if (to > from) this.#parts.push(Buffer.from(bytes.subarray(from, to)));
    this.#bytes += to - from;
    if (last) this.complete = true;
    this.#tell();
    return this.#wanted !== undefined || this.#bytes <= maxUnaskedBytes;
  }

  /** The end of the body, with trailers. */
  end(trailers: readonly string[]): void {
    this.trailers = trailers;
    this.complete = true;
    this.#tell();
  }

  bodyStart(limit: number): Promise<RequestBodyStart> {
    return new Promise((resolve) => {
      this.#wanted = { limit, resolve };
      this.#tell();
      if (this.#wanted !== undefined) this.#askUpstream();
    });
  }

  replaceBody(bytes: Buffer): void {
    this.newBody = bytes;
    this.fields = [
      ...this.fields.filter(([name]) => name !== "content-length" && name !== "transfer-encoding"),
      ["content-length", String(bytes.length)],
    ];
  }

  body(): Buffer {
    return this.newBody ?? Buffer.concat(this.#parts);
  }

  /** Runs the filters, the last one first. An answer of one of them takes the response's place. */
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
   * The head as it is now, with what there is of the body in the same bytes. Valid until the next one is composed. The
   * body comes out of its chunks.
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

  #tell(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || (!this.complete && this.#bytes <= wanted.limit)) return;
    this.#wanted = undefined;
    wanted.resolve({
      bytes: this.body().subarray(0, wanted.limit),
      whole: this.complete && this.#bytes <= wanted.limit,
    });
  }
}

/** The fields of an upstream's head as filters see them: after the route's edits. */
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

/** What is left to change as the head is written: what filters removed does not come again. */
export function shownEdits(fields: Fields): HeaderEdits {
  return fields.some(([name]) => name === serviceTimeHeader) ? noEdits : noServiceTime;
}

/** The fields of an answer of ours, with those that are written with its body. */
export function describedFields({ body, fields }: { readonly body: string | Buffer; readonly fields: Fields }): Fields {
  const size = Buffer.byteLength(body);
  const typed = size === 0 || fields.some(([name]) => name === "content-type");
  return [
    ...fields.map(([name, value]) => [name.toLowerCase(), value] as const),
    ["content-length", String(size)],
    ...(typed ? [] : [["content-type", "text/plain"] as const]),
  ];
}
