import { internalError } from "../../base/index.ts";
import { ChunkedScanner, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import type { LocalReply, RequestBodyStart } from "../filters/http-filter.ts";
import { trailersOfText } from "../http2/http2-heads.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { routeOf, type VirtualHost } from "../routing/route-table.ts";
import type { LocalReply as ShapedReply } from "./compose-response.ts";
import { ExchangeState } from "./exchange-state.ts";
import { FilterPass, type FilterVerdict } from "./filter-pass.ts";
import {
  answerFields,
  describedFields,
  FilteredAnswer,
  type ComposedAnswer,
  type FilteredAnswerTarget,
} from "./filtered-answer.ts";
import { GrpcWebTranslation } from "./grpc-web.ts";
import { HeldBody } from "./held-body.ts";
import { MessageFlow, type FlowHead, type FlowStep } from "./message-flow.ts";
import { endTable, replyTable } from "./reply-table.ts";
import { permittedTrailers } from "../terms/trailers.ts";

const noBytes = Buffer.alloc(0);
const noSteps: readonly FlowStep[] = [];

/** An upstream's head, with the first part of its body behind it. */
interface UpstreamAnswer {
  readonly head: MessageHead;
  readonly framing: BodyFraming;
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
  readonly sentAtMs: number;
}

/** Filters' part in an exchange: the request's head passes them, and what follows it if they hold it. */
export abstract class FilteredExchange extends ExchangeState {
  /** Whether the client's body is chunked, whatever filters changed in its head. */
  protected chunkedByClient = false;
  /** The part of the request's body that arrived while a filter was waiting. */
  protected held: HeldBody | undefined;
  protected heldTrailers: readonly string[] | undefined;
  #requestSteps = noSteps;
  /** The filters for the response, from the last to the first. */
  #answerSteps = noSteps;
  #requestFlow: MessageFlow | undefined;
  #requestChunks: ChunkedScanner | undefined;
  #upstreamBlocked = false;
  #clientBlocked = false;

  /** Carries out the route's action. */
  protected abstract act(bytes: Buffer, from: number, to: number): void;
  /** Passes a part of the request's body. False: no more for now. */
  protected abstract passRequestBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean;
  protected abstract sendFilteredAnswer(answer: ComposedAnswer, edits: HeaderEdits, sentAtMs: number): boolean;
  protected abstract sendAnswerBody(bytes: Buffer, from: number, to: number, last: boolean): boolean;
  protected abstract sendAnswerTrailers(fields: readonly string[]): void;
  /** Forwards `100 Continue` once only: a server that repeats it would fill the memory for a client that does not read. */
  protected abstract sayContinue(): void;
  protected abstract answerOfFilter(reply: LocalReply): void;

  protected override reset(head: MessageHead | undefined, keepAlive: boolean, complete: boolean): void {
    super.reset(head, keepAlive, complete);
    this.held = undefined;
    this.heldTrailers = undefined;
    this.#requestSteps = noSteps;
    this.#answerSteps = noSteps;
    this.#requestFlow = undefined;
    this.#requestChunks = undefined;
    this.#upstreamBlocked = false;
    this.#clientBlocked = false;
  }

  protected override finish(): void {
    this.held = undefined;
    this.#requestFlow?.cancel();
    this.answerFlow?.cancel();
    super.finish();
  }

  // ---- the request's head

  protected virtualHost(): VirtualHost | undefined {
    return this.context.routeTable()?.virtualHost(this.authority);
  }

  protected filter(bytes: Buffer, from: number, to: number): void {
    const pass = new FilterPass({
      connection: this.connection,
      facts: this.facts,
      config: this.config,
      route: this.route,
      chooseRoute: (request) => {
        const host = this.virtualHost();
        return host === undefined ? undefined : routeOf(host, request);
      },
      hasBody: !this.request.complete || to > from,
      bodyStart: (limit) => this.#bodyStart(this.hold(bytes, from, to), limit),
      trailers: () => this.heldTrailers,
      setTrailers: (fields) => void (this.heldTrailers = permittedTrailers(fields)),
    });
    this.pass = pass;
    let verdict: FilterVerdict | Promise<FilterVerdict>;
    try {
      verdict = pass.run(this.config.filters, () => void this.hold(bytes, from, to));
    } catch (error) {
      this.#filterFailed(error);
      return;
    }
    if (!(verdict instanceof Promise)) {
      this.#filtered(pass, verdict, bytes, from, to);
      return;
    }
    const still = (run: () => void): void => {
      if (this.active && this.pass === pass) run();
    };
    verdict.then(
      (later) => still(() => this.letGo((body) => this.#filtered(pass, later, body, 0, body.length))),
      (error: unknown) => still(() => this.#filterFailed(error)),
    );
  }

  /** A filter needs time: keeps what arrived of the request, and stops reading. */
  protected hold(bytes: Buffer, from: number, to: number): HeldBody {
    if (this.held !== undefined) return this.held;
    this.facts.detach();
    const held = new HeldBody(this.chunkedByClient);
    held.add(bytes, from, to, this.request.complete);
    this.held = held;
    return held;
  }

  /** Lets the request continue with the bytes that arrived meanwhile. */
  protected letGo(goOn: (body: Buffer) => void): void {
    const body = this.held?.bytes() ?? noBytes;
    this.held = undefined;
    const trailers = this.heldTrailers;
    this.heldTrailers = undefined;
    if (trailers !== undefined) this.request.complete = false;
    goOn(body);
    if (this.active && trailers !== undefined) this.requestTrailers(trailers);
  }

  /** The end of the request with its trailers. */
  requestTrailers(fields: readonly string[]): void {
    if (!this.active) return;
    const trailers = permittedTrailers(fields);
    if (this.held !== undefined) {
      this.heldTrailers = trailers;
      this.request.complete = true;
      this.held.end();
      return;
    }
    if (this.#requestFlow === undefined) this.#endRequest(trailers);
    else this.#requestFlow.end(trailers);
  }

  /** A filter wants to see the body, so the rest of it is read. */
  #bodyStart(held: HeldBody, limit: number): Promise<RequestBodyStart> {
    if (!this.request.complete) {
      if (this.facts.head.expectsContinue) this.sayContinue();
      this.owner.resumeRequest();
    }
    return held.start(limit);
  }

  #filtered(pass: FilterPass, verdict: FilterVerdict, bytes: Buffer, from: number, to: number): void {
    this.route = pass.route;
    this.#openStreams(pass);
    const { newBody } = pass;
    if (verdict === "pass" && newBody !== undefined) this.chunkedByClient = false;
    if (pass.grpcWeb !== undefined) {
      this.grpcWeb = new GrpcWebTranslation(pass.grpcWeb, this.chunkedByClient && this.#requestSteps.length === 0);
      this.facts.isGrpc = true;
      this.facts.isGrpcWeb = true;
      this.countsAnswer = this.facts.isHttp2;
    }
    if (verdict !== "pass") this.answerOfFilter(verdict);
    else if (newBody === undefined) this.act(bytes, from, to);
    else this.act(newBody, 0, newBody.length);
  }

  #openStreams(pass: FilterPass): void {
    for (const filter of this.config.filters) {
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
      if (takesPart(request)) this.#requestSteps = [...this.#requestSteps, request];
      if (takesPart(answer)) this.#answerSteps = [answer, ...this.#answerSteps];
    }
    this.facts.answerPassesFilters = this.#answerSteps.length > 0;
  }

  // ---- the request's body

  /** Whether the body that begins so passes filters, without the framing of chunks. */
  protected bodyPassesFilters(from: number, to: number): boolean {
    return this.#requestSteps.length > 0 && !(this.request.complete && from === to);
  }

  /** Lets the body pass the filters, from its first part on. */
  protected streamRequest(bytes: Buffer, from: number, to: number, complete: boolean): void {
    const { pass } = this;
    if (pass === undefined) return;
    this.request.complete = false;
    if (this.chunkedByClient) {
      this.#requestChunks = new ChunkedScanner();
      this.#requestChunks.keepsTrailers = true;
    }
    const announced = this.facts.head.contentLength;
    let sent = 0;
    const send = (part: Buffer, start: number, end: number, last: boolean): void => {
      sent += end - start;
      // The upstream would take bytes beyond the announced length for another request.
      if (announced >= 0 && (last ? sent !== announced : sent > announced))
        throw internalError(
          "bad-filter-edit",
          `a filter made a request's body ${sent} bytes long, but its content-length is ${announced}: the filter must change or remove the header`,
        );
      if (!this.passRequestBody(part, start, end, last)) this.#upstreamBlocked = true;
      if (this.active && last) this.attempts.requestComplete();
    };
    this.#upstreamBlocked = true;
    this.#requestFlow = new MessageFlow(
      pass,
      this.#requestSteps,
      {
        head: () => undefined,
        body: send,
        end: (trailers) => {
          if (trailers.length === 0) send(noBytes, 0, 0, true);
          else this.#endRequest(trailers);
        },
        settled: () => {
          if (!this.#upstreamBlocked && this.#requestFlow?.full === false) this.owner.resumeRequest();
        },
        stopped: (given) => this.#stopped(given),
        failed: (error) => this.#filterFailed(error),
      },
      true,
    );
    this.#streamMore(bytes, from, to, complete);
  }

  /** Takes a part of the request's body if filters hold it. False: they do not. */
  protected streamedRequest(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    if (this.#requestFlow === undefined) return false;
    this.#streamMore(bytes, from, to, complete);
    return true;
  }

  #streamMore(bytes: Buffer, from: number, to: number, complete: boolean): void {
    const flow = this.#requestFlow;
    if (flow === undefined) return;
    const chunks = this.#requestChunks;
    if (chunks === undefined) flow.body(bytes, from, to, complete);
    else {
      chunks.scan(bytes, from, to, (start, end) => flow.body(bytes, start, end, false));
      if (complete) {
        const trailers = permittedTrailers(trailersOfText(chunks.trailers));
        if (trailers.length > 0) flow.end(trailers);
        else flow.body(noBytes, 0, 0, true);
      }
    }
    if (this.active && !complete && (this.#upstreamBlocked || flow.full)) this.owner.pauseRequest();
  }

  #endRequest(trailers: readonly string[]): void {
    this.request.trailers(trailers, this.attempts.channel);
    this.attempts.requestComplete();
  }

  upstreamTakesMore(): void {
    this.#upstreamBlocked = false;
    if (this.#requestFlow?.full !== true) this.owner.resumeRequest();
  }

  // ---- the response

  /** Lets an upstream's response pass the filters, from the last to the first, before the client gets it. */
  protected streamAnswer(upstream: UpstreamAnswer, edits: HeaderEdits | undefined): void {
    const { head, framing, from, to, last, sentAtMs } = upstream;
    const serviceMs = sentAtMs < 0 ? -1 : Math.max(0, Math.round(this.context.clock.steadyMs() - sentAtMs));
    const answer = new FilteredAnswer(this.#client(sentAtMs), framing, this.method === "HEAD");
    this.#flowOfAnswer({
      head: (changed, end) => answer.head(changed, end),
      body: (part, start, end, ends) => answer.body(part, start, end, ends),
      end: (trailers) => answer.end(trailers),
      settled: () => {
        answer.flush();
        if (this.active && !this.#clientBlocked && this.answerFlow?.full !== true) this.attempts.resume();
      },
    })?.begin({ status: head.status, fields: answerFields(head, edits, serviceMs) }, head.bytes, from, to, last);
    this.#afterAnswer();
  }

  #client(sentAtMs: number): FilteredAnswerTarget {
    /** A filter may end the response before the upstream does. */
    const ends = (last: boolean): void => {
      if (last && this.answerFlow?.complete === false) this.attempts.drop();
    };
    return {
      head: (composed, edits) => {
        ends(composed.last);
        this.#clientBlocked = !this.sendFilteredAnswer(composed, edits, sentAtMs);
      },
      body: (bytes, from, to, last) => {
        ends(last);
        this.#clientBlocked = !this.sendAnswerBody(bytes, from, to, last);
      },
      end: (trailers) => this.sendAnswerTrailers(trailers),
    };
  }

  answerBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.countsAnswer) this.countAnswer(bytes, from, to);
    if (this.answerFlow === undefined) this.sendAnswerBody(bytes, from, to, last);
    else {
      this.answerFlow.body(bytes, from, to, last);
      this.#afterAnswer();
    }
  }

  answerTrailers(received: readonly string[]): void {
    const trailers = permittedTrailers(received);
    if (this.answerFlow === undefined) this.sendAnswerTrailers(trailers);
    else this.answerFlow.end(trailers);
  }

  /** The client takes bytes again. */
  clientDrained(): void {
    this.#clientBlocked = false;
    if (this.answerFlow?.full !== true) this.attempts.resume();
  }

  /** The proxy's own response also passes the filters. `send` gets their result. */
  protected replyThroughFilters(reply: ShapedReply, send: (reply: ShapedReply) => void): void {
    if (this.answerPassed || !this.facts.answerPassesFilters) {
      send(reply);
      return;
    }
    const body = Buffer.from(reply.body);
    let changed: FlowHead = { status: reply.status, fields: [] };
    const parts: Buffer[] = [];
    const end = (): void =>
      send({
        status: changed.status,
        body: Buffer.concat(parts),
        fields: changed.fields.filter(([name]) => name !== "content-length" && name !== "transfer-encoding"),
      });
    this.#flowOfAnswer({
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
    })?.begin({ status: reply.status, fields: describedFields(reply) }, body, 0, body.length, true);
  }

  #flowOfAnswer(
    sink: Pick<ConstructorParameters<typeof MessageFlow>[2], "head" | "body" | "end" | "settled">,
  ): MessageFlow | undefined {
    const { pass } = this;
    if (pass === undefined) return undefined;
    this.answerPassed = true;
    this.answerFlow = new MessageFlow(pass, this.#answerSteps, {
      ...sink,
      stopped: (given) => this.#stopped(given),
      failed: (error) => this.#filterFailed(error),
    });
    return this.answerFlow;
  }

  #afterAnswer(): void {
    if (this.active && this.answerFlow?.full === true) this.attempts.pause();
  }

  /** A filter answers, or ends the exchange. */
  #stopped(reply: LocalReply | undefined): void {
    if (!this.active) return;
    this.attempts.drop();
    if (reply !== undefined && !this.answer.started) {
      this.answerOfFilter(reply);
      return;
    }
    this.details = reply?.details ?? endTable.filterEnded.details;
    this.finish();
    this.owner.abort();
  }

  #filterFailed(error: unknown): void {
    this.context.onTrouble?.("a filter failed", error);
    if (!this.active) return;
    this.attempts.drop();
    this.failed(replyTable.filterFailed);
  }
}

function takesPart({ head, body, trailers }: FlowStep): boolean {
  return head !== undefined || body !== undefined || trailers !== undefined;
}
