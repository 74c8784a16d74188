import { internalError, bodyFramingHeaders } from "../../base/index.ts";
import { bodyFramings, MessageHead, scanResponseHead, statusText, type BodyFraming } from "../../wire/http1/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { headText } from "../terms/header-text.ts";
import { composedLimits } from "../terms/composed-limits.ts";
import type { FlowHead } from "./bodies/message-flow.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** The composed head. This thread handles one head at a time, so all responses share the memory. */
const composedHead = new MessageHead(composedLimits);
/** The header that Envoy's router adds before filters see the response. So filters may remove it. */
const serviceTimeHeader = "x-envoy-upstream-service-time";
const noBytes = Buffer.alloc(0);

export interface ComposedAnswer {
  readonly head: MessageHead;
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
  readonly framing: BodyFraming;
}

export interface FilteredAnswerTarget {
  /** Writes the head. `edits` are applied while it is written. */
  head(composed: ComposedAnswer, edits: HeaderEdits): void;
  body(bytes: Buffer, from: number, to: number, last: boolean): void;
  end(trailers: readonly string[]): void;
}

/**
 * An upstream's response that has passed the filters. Its head waits for the first part of the body that arrives in the
 * same turn of the event loop, so that both go out in one write.
 *
 * A body whose length differs from the announced one is an error, because a client would read the excess bytes as the
 * next response.
 */
export class FilteredAnswer {
  readonly #target: FilteredAnswerTarget;
  readonly #framing: BodyFraming;
  readonly #toHead: boolean;
  #head: FlowHead | undefined;
  /** The length that the head announces, or -1 if it announces none. */
  #announced = -1;
  #sent = 0;

  /** `framing` is the framing of the upstream's body. `toHead` says whether the request was HEAD. */
  constructor(target: FilteredAnswerTarget, framing: BodyFraming, toHead: boolean) {
    this.#target = target;
    this.#framing = framing;
    this.#toHead = toHead;
  }

  head(head: FlowHead, end: boolean): void {
    this.#head = head;
    if (end) this.#sendHead(noBytes, 0, 0, true);
  }

  body(bytes: Buffer, from: number, to: number, end: boolean): void {
    if (this.#head !== undefined) {
      this.#sendHead(bytes, from, to, end);
      return;
    }
    this.#count(to - from, end);
    this.#target.body(bytes, from, to, end);
  }

  end(trailers: readonly string[]): void {
    this.flush();
    if (trailers.length > 0) this.#target.end(trailers);
    else this.body(noBytes, 0, 0, true);
  }

  /** Sends the head now if it still waits for the body. */
  flush(): void {
    if (this.#head !== undefined) this.#sendHead(noBytes, 0, 0, false);
  }

  #sendHead(bytes: Buffer, from: number, to: number, end: boolean): void {
    const { status = 0, fields = [] } = this.#head ?? {};
    this.#head = undefined;
    const bodiless = this.#toHead || status === 204 || status === 304;
    const composed = this.#compose({ status, fields }, bodiless ? noBytes : bytes.subarray(from, to), bodiless, end);
    if (!bodiless) {
      this.#announced = composed.head.contentLength;
      this.#count(composed.to - composed.from, end);
    }
    this.#target.head(composed, shownEdits(fields));
  }

  #count(bytes: number, end: boolean): void {
    this.#sent += bytes;
    if (this.#announced < 0 || (end ? this.#sent === this.#announced : this.#sent <= this.#announced)) return;
    throw internalError(
      "bad-filter-edit",
      `a filter made a response's body ${this.#sent} bytes long, but its content-length is ${this.#announced}: the filter must change or remove the header`,
    );
  }

  /**
   * Composes the head and the first part of the body in one buffer, which is valid until the next call. The chunked
   * framing of a body is dropped.
   */
  #compose({ status, fields }: FlowHead, body: Buffer, bodiless: boolean, end: boolean): ComposedAnswer {
    let text = `HTTP/1.1 ${status} ${statusText(status)}\r\n`;
    for (const [name, value] of fields)
      if (status !== 204 || !bodyFramingHeaders.has(name)) text += `${name}: ${value}\r\n`;
    const head = Buffer.from(headText(`${text}\r\n`), "latin1");
    const bytes = body.length === 0 ? head : Buffer.concat([head, body]);
    if (scanResponseHead(composedHead, bytes, 0, head.length, composedLimits) <= 0)
      throw internalError("bad-filter-edit", "a filter made a response's head unreadable");
    const empty = end && body.length === 0 && this.#framing === bodyFramings.none;
    return {
      head: composedHead,
      from: head.length,
      to: bytes.length,
      last: bodiless || end,
      framing:
        bodiless || (empty && composedHead.contentLength < 0)
          ? bodyFramings.none
          : composedHead.contentLength >= 0
            ? bodyFramings.length
            : bodyFramings.untilClose,
    };
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

/**
 * The edits that are still to be made after the filters. The code that composes the head adds the service time itself,
 * so these edits drop it if a filter has removed it.
 */
function shownEdits(fields: Fields): HeaderEdits {
  return fields.some(([name]) => name === serviceTimeHeader) ? noEdits : noServiceTime;
}

/** The header fields of the proxy's own response, including those that describe its body. */
export function describedFields({ body, fields }: { readonly body: string | Buffer; readonly fields: Fields }): Fields {
  const size = Buffer.byteLength(body);
  const typed = size === 0 || fields.some(([name]) => name === "content-type");
  return [
    ...fields.map(([name, value]) => [name.toLowerCase(), value] as const),
    ["content-length", String(size)],
    ...(typed ? [] : [["content-type", "text/plain"] as const]),
  ];
}
