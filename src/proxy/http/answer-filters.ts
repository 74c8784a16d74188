import { bodyFramingHeaders } from "../../base/index.ts";
import type { FilterRequest, LocalReply as FilterReply } from "../filters/http-filter.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { UpstreamAnswer } from "./answer.ts";
import type { LocalReply } from "./messages/compose-response.ts";
import type { ExchangeParts } from "./exchange-parts.ts";
import {
  answerFields,
  describedFields,
  FilteredAnswer,
  type ComposedAnswer,
  type FilteredAnswerTarget,
} from "./filtered-answer.ts";
import { MessageFlow, type FlowHead, type FlowStep } from "./bodies/message-flow.ts";

export interface AnsweringExchange extends ExchangeParts {
  /** Called when a filter replies, or ends the exchange. */
  stoppedByFilter(reply: FilterReply | undefined): void;
  filterFailed(error: unknown): void;
}

/** Receives the response that has passed the filters. Each method returns whether the client accepts more bytes. */
export interface FilteredTarget {
  sendFiltered(answer: ComposedAnswer, edits: HeaderEdits, sentAtMs: number): boolean;
  sendBody(bytes: Buffer, from: number, to: number, last: boolean): boolean;
  sendTrailers(fields: readonly string[]): void;
}

/** Passes one response through the filters, from the last filter to the first, before the client gets it. */
export class AnswerFilters {
  readonly #exchange: AnsweringExchange;
  readonly #target: FilteredTarget;
  readonly #request: FilterRequest;
  readonly #steps: readonly FlowStep[];
  /**
   * The response that passes the filters. Undefined until a response arrives. Only one response per exchange passes
   * them.
   */
  #flow: MessageFlow | undefined;
  #clientBlocked = false;

  constructor(exchange: AnsweringExchange, target: FilteredTarget, request: FilterRequest, steps: readonly FlowStep[]) {
    this.#exchange = exchange;
    this.#target = target;
    this.#request = request;
    this.#steps = steps;
  }

  /** Whether a response has reached the filters. A further response does not pass them. */
  get begun(): boolean {
    return this.#flow !== undefined;
  }

  begin(upstream: UpstreamAnswer, edits: HeaderEdits | undefined): void {
    const { head, framing, from, to, last, sentAtMs } = upstream;
    const { context, facts, attempts, config } = this.#exchange;
    const serviceMs =
      sentAtMs < 0 || config.hidesEnvoyHeaders ? -1 : Math.max(0, Math.round(context.clock.steadyMs() - sentAtMs));
    const answer = new FilteredAnswer(this.#client(sentAtMs), framing, facts.method === "HEAD");
    this.#newFlow({
      head: (changed, end) => answer.head(changed, end),
      body: (part, start, end, ends) => answer.body(part, start, end, ends),
      end: (trailers) => answer.end(trailers),
      settled: () => {
        answer.flush();
        if (this.#exchange.active && !this.#clientBlocked && this.#flow?.full !== true) attempts.resume();
      },
    }).begin({ status: head.status, fields: answerFields(head, edits, serviceMs) }, head.bytes, from, to, last);
    this.#afterPart();
  }

  /** Takes a part of the response's body. Returns false if the response does not pass through the filters. */
  body(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    if (this.#flow === undefined) return false;
    this.#flow.body(bytes, from, to, last);
    this.#afterPart();
    return true;
  }

  /** Takes the trailers that end the body. Returns false if the response does not pass through the filters. */
  end(trailers: readonly string[]): boolean {
    this.#flow?.end(trailers);
    return this.#flow !== undefined;
  }

  reply(reply: LocalReply, send: (reply: LocalReply) => void): void {
    const body = Buffer.from(reply.body);
    let changed: FlowHead = { status: reply.status, fields: [] };
    const parts: Buffer[] = [];
    const end = (): void =>
      send({
        status: changed.status,
        body: Buffer.concat(parts),
        fields: changed.fields.filter(([name]) => !bodyFramingHeaders.has(name)),
      });
    this.#newFlow({
      head: (head, ends) => {
        changed = { status: head.status, fields: head.fields };
        if (ends) end();
      },
      body: (bytes, from, to, ends) => {
        parts.push(Buffer.from(bytes.subarray(from, to)));
        if (ends) end();
      },
      end,
      settled: () => undefined,
    }).begin({ status: reply.status, fields: describedFields(reply) }, body, 0, body.length, true);
  }

  /** Called when the client accepts bytes again. Returns whether the upstream may send more. */
  clientDrained(): boolean {
    this.#clientBlocked = false;
    return this.#flow?.full !== true;
  }

  /** Called when the exchange has ended. Nothing more passes. */
  cancel(): void {
    this.#flow?.cancel();
  }

  #client(sentAtMs: number): FilteredAnswerTarget {
    const { attempts } = this.#exchange;
    const target = this.#target;
    /** Ends the upstream's attempt if a filter has ended the response before the upstream did. */
    const ends = (last: boolean): void => {
      if (last && this.#flow?.complete === false) attempts.drop();
    };
    return {
      head: (composed, edits) => {
        ends(composed.last);
        this.#clientBlocked = !target.sendFiltered(composed, edits, sentAtMs);
      },
      body: (bytes, from, to, last) => {
        ends(last);
        this.#clientBlocked = !target.sendBody(bytes, from, to, last);
      },
      end: (trailers) => target.sendTrailers(trailers),
    };
  }

  #newFlow(sink: Pick<ConstructorParameters<typeof MessageFlow>[2], "head" | "body" | "end" | "settled">): MessageFlow {
    const exchange = this.#exchange;
    this.#flow = new MessageFlow(this.#request, this.#steps, {
      ...sink,
      held: (difference) => exchange.bodyHeld(difference),
      stopped: (given) => exchange.stoppedByFilter(given),
      failed: (error) => exchange.filterFailed(error),
    });
    return this.#flow;
  }

  #afterPart(): void {
    if (this.#exchange.active && this.#flow?.full === true) this.#exchange.attempts.pause();
  }
}
