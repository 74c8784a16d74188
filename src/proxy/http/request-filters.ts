import { internalError } from "../../base/index.ts";
import { ChunkedScanner } from "../../wire/http1/index.ts";
import type { LocalReply, RequestBodyStart } from "../filters/http-filter.ts";
import { trailersOfText } from "../http2/http2-heads.ts";
import { routeOf } from "../routing/route-table.ts";
import { permittedTrailers } from "../terms/trailers.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { mutationContext } from "./exchange-edits.ts";
import type { ExchangeParts } from "./exchange-parts.ts";
import { FilterPass, type FilterVerdict } from "./filter-pass.ts";
import type { HeldBody } from "./bodies/held-body.ts";
import { MessageFlow, type FlowStep } from "./bodies/message-flow.ts";

const noBytes = Buffer.alloc(0);
const noSteps: readonly FlowStep[] = [];

export interface FilteredExchange extends ExchangeParts {
  readonly answer: ClientAnswer;
  /** Whether the client's body arrives in chunks. Filters may have changed the headers that say so. */
  readonly chunkedByClient: boolean;
  heldTrailers: readonly string[] | undefined;
  /** Keeps the part of the request that has arrived, and stops reading. */
  hold(bytes: Buffer, from: number, to: number): HeldBody;
  /** Continues the request with the bytes that have arrived meanwhile. */
  letGo(goOn: (body: Buffer) => void): void;
  /**
   * Called when the request's head has passed the filters, or when a filter has replied. `bytes[from, to)` is the first
   * part of the body.
   */
  filtered(filters: RequestFilters, verdict: FilterVerdict, bytes: Buffer, from: number, to: number): void;
  /** Passes a part of the request's body. Returns false if no more bytes are accepted for now. */
  passRequestBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean;
  endRequest(trailers: readonly string[]): void;
  /** Called when a filter replies, or ends the exchange. */
  stoppedByFilter(reply: LocalReply | undefined): void;
  filterFailed(error: unknown): void;
}

/** Passes one request through the filters: its head, and its body if some filter processes bodies. */
export class RequestFilters {
  readonly #exchange: FilteredExchange;
  readonly pass: FilterPass;
  #steps = noSteps;
  /** The filters for the response, from the last to the first. */
  answerSteps = noSteps;
  #flow: MessageFlow | undefined;
  #chunks: ChunkedScanner | undefined;
  #upstreamBlocked = false;

  /** `bytes[from, to)` is the part of the body that came with the head. */
  constructor(exchange: FilteredExchange, bytes: Buffer, from: number, to: number) {
    this.#exchange = exchange;
    const { context, facts, request, record } = exchange;
    this.pass = new FilterPass({
      connection: record.connection,
      facts,
      config: exchange.config,
      route: record.route,
      chooseRoute: (view) => {
        const host = context.routeTable()?.virtualHost(facts.authority);
        return host === undefined ? undefined : routeOf(host, view);
      },
      pickCluster: (target) => facts.pickCluster(target, context.random),
      hasBody: !request.complete || to > from,
      bodyStart: (limit) => this.#bodyStart(exchange.hold(bytes, from, to), limit),
      trailers: () => exchange.heldTrailers,
      setTrailers: (fields) => void (exchange.heldTrailers = permittedTrailers(fields)),
      bodyHeld: (difference) => exchange.bodyHeld(difference),
      markHealthCheck: () => void (record.isHealthCheck = true),
      valueContext: (response) => mutationContext(exchange, response),
    });
  }

  get takesBody(): boolean {
    return this.#steps.length > 0;
  }

  run(bytes: Buffer, from: number, to: number): void {
    const exchange = this.#exchange;
    let verdict: FilterVerdict | Promise<FilterVerdict>;
    try {
      verdict = this.pass.run(exchange.config.filters, () => void exchange.hold(bytes, from, to));
    } catch (error) {
      exchange.filterFailed(error);
      return;
    }
    if (!(verdict instanceof Promise)) {
      this.#filtered(verdict, bytes, from, to);
      return;
    }
    verdict.then(
      (later) => {
        if (exchange.active) exchange.letGo((body) => this.#filtered(later, body, 0, body.length));
      },
      (error: unknown) => {
        if (exchange.active) exchange.filterFailed(error);
      },
    );
  }

  /** Reads on, because a filter wants to see the beginning of the body. */
  #bodyStart(held: HeldBody, limit: number): Promise<RequestBodyStart> {
    const { request, facts, owner, answer } = this.#exchange;
    if (!request.complete) {
      if (facts.head.expectsContinue) answer.sayContinue();
      owner.resumeRequest();
    }
    return held.start(limit);
  }

  #filtered(verdict: FilterVerdict, bytes: Buffer, from: number, to: number): void {
    const { pass } = this;
    for (const filter of this.#exchange.config.filters) {
      const stream = filter.stream?.(pass, pass.signal);
      if (stream === undefined) continue;
      const request: FlowStep = {
        body: stream.requestBody?.bind(stream),
        trailers: stream.requestTrailers?.bind(stream),
      };
      const answer: FlowStep = {
        head: stream.responseHead?.bind(stream),
        body: stream.responseBody?.bind(stream),
        trailers: stream.responseTrailers?.bind(stream),
      };
      if (takesPart(request)) this.#steps = [...this.#steps, request];
      if (takesPart(answer)) this.answerSteps = [answer, ...this.answerSteps];
    }
    this.#exchange.filtered(this, verdict, bytes, from, to);
  }

  // ---- the body

  /** Lets the body pass the filters without the framing of chunks, from its first part on. */
  begin(bytes: Buffer, from: number, to: number, complete: boolean): void {
    const exchange = this.#exchange;
    exchange.request.complete = false;
    if (exchange.chunkedByClient) {
      this.#chunks = new ChunkedScanner();
      this.#chunks.keepsTrailers = true;
    }
    const announced = exchange.facts.head.contentLength;
    let sent = 0;
    const send = (part: Buffer, start: number, end: number, last: boolean): void => {
      sent += end - start;
      // The upstream would read bytes beyond the announced length as another request.
      if (announced >= 0 && (last ? sent !== announced : sent > announced))
        throw internalError(
          "bad-filter-edit",
          `a filter made a request's body ${sent} bytes long, but its content-length is ${announced}: the filter must change or remove the header`,
        );
      if (!exchange.passRequestBody(part, start, end, last)) this.#upstreamBlocked = true;
      if (exchange.active && last) exchange.attempts.requestComplete();
    };
    this.#upstreamBlocked = true;
    this.#flow = new MessageFlow(
      this.pass,
      this.#steps,
      {
        head: () => undefined,
        body: send,
        end: (trailers) => {
          if (trailers.length === 0) send(noBytes, 0, 0, true);
          else exchange.endRequest(trailers);
        },
        held: (difference) => exchange.bodyHeld(difference),
        settled: () => {
          if (!this.#upstreamBlocked && this.#flow?.full === false) exchange.owner.resumeRequest();
        },
        stopped: (given) => exchange.stoppedByFilter(given),
        failed: (error) => exchange.filterFailed(error),
      },
      true,
    );
    this.more(bytes, from, to, complete);
  }

  /** Takes a part of the body. Returns false if no filter processes the body. */
  more(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    const flow = this.#flow;
    if (flow === undefined) return false;
    const chunks = this.#chunks;
    if (chunks === undefined) flow.body(bytes, from, to, complete);
    else {
      chunks.scanJoined(bytes, from, to, (part, start, end) => flow.body(part, start, end, false));
      if (complete) {
        const trailers = permittedTrailers(trailersOfText(chunks.trailers));
        if (trailers.length > 0) flow.end(trailers);
        else flow.body(noBytes, 0, 0, true);
      }
    }
    if (this.#exchange.active && !complete && (this.#upstreamBlocked || flow.full)) this.#exchange.owner.pauseRequest();
    return true;
  }

  /** Takes the trailers that end the body. Returns false if no filter processes the body. */
  end(trailers: readonly string[]): boolean {
    this.#flow?.end(trailers);
    return this.#flow !== undefined;
  }

  /** Called when the upstream accepts bytes of the request again. Returns whether the client may send more. */
  upstreamTakesMore(): boolean {
    this.#upstreamBlocked = false;
    return this.#flow?.full !== true;
  }

  /** Called when the exchange is over. Nothing more passes. */
  cancel(): void {
    this.#flow?.cancel();
  }
}

function takesPart({ head, body, trailers }: FlowStep): boolean {
  return head !== undefined || body !== undefined || trailers !== undefined;
}
