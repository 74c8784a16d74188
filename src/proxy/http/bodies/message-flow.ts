import { bodyFramingHeaders } from "../../../base/index.ts";
import {
  type FilterRequest,
  type FilterResponse,
  type LocalReply,
  type RequestBodyStart,
  passed,
  type Later,
  type StreamOutcome,
  type StreamTail,
} from "../../filters/http-filter.ts";
import { HeldBody } from "./held-body.ts";

/**
 * The number of bytes that filters may hold before the sender must pause. A filter that requests more may exceed it.
 */
const maxUnaskedBytes = 64 * 1024;

const noBytes = Buffer.alloc(0);

export interface FlowHead {
  readonly status: number;
  readonly fields: FilterResponse["fields"];
}

/**
 * One filter's part in one message. A part of a message passes a filter unchanged if the filter has no method for it.
 */
export interface FlowStep {
  readonly head?: ((response: FilterResponse, end: boolean) => Later<StreamOutcome<undefined>>) | undefined;
  readonly body?: ((bytes: Buffer, end: boolean) => Later<StreamOutcome<Buffer>>) | undefined;
  readonly trailers?: ((trailers: readonly string[]) => Later<StreamOutcome<StreamTail>>) | undefined;
}

/** Receives a message that has passed one filter, or all filters. */
interface FlowTarget {
  head(head: FlowHead, end: boolean): void;
  body(bytes: Buffer, from: number, to: number, end: boolean): void;
  end(trailers: readonly string[]): void;
}

export interface FlowSink extends FlowTarget {
  /** Called with each change in the number of bytes that filters hold. */
  held(difference: number): void;
  /** Called when each part that may continue has continued. The sender may send more unless the flow is full. */
  settled(): void;
  /** Called when a filter ends the message. `reply` replaces it. If `reply` is undefined, the exchange ends. */
  stopped(reply: LocalReply | undefined): void;
  failed(error: unknown): void;
}

/**
 * Passes a message through filters that may need time. Each filter's stage keeps what the filter has not passed on yet.
 */
export class MessageFlow {
  readonly #stages: readonly FlowStage[];
  readonly #sink: FlowSink;
  #over = false;
  complete = false;

  /**
   * Passes a message through the steps. With `startsWithBody`, the head has already passed them, so they get only the
   * body and the trailers.
   */
  constructor(request: FilterRequest, steps: readonly FlowStep[], sink: FlowSink, startsWithBody = false) {
    this.#sink = sink;
    const stages: FlowStage[] = [];
    for (const step of steps.toReversed()) stages.unshift(new FlowStage(this, request, step, stages[0] ?? sink));
    if (startsWithBody) for (const stage of stages) stage.skipHead();
    this.#stages = stages;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Whether the sender must pause, because filters hold too many bytes. */
  get full(): boolean {
    let held = 0;
    for (const stage of this.#stages) {
      if (stage.wantsMore) return false;
      held += stage.heldBytes;
    }
    return held > maxUnaskedBytes;
  }

  /** Takes the head with the first part of the body. `last` says whether that is the whole message. */
  begin(head: FlowHead, bytes: Buffer, from: number, to: number, last: boolean): void {
    this.complete = last;
    this.run(() => {
      this.#first.head(head, last && from === to);
      if (from !== to) this.#first.body(bytes, from, to, last);
    });
  }

  body(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.complete = last;
    if (from !== to || last) this.run(() => this.#first.body(bytes, from, to, last));
  }

  end(trailers: readonly string[]): void {
    this.complete = true;
    this.run(() => this.#first.end(trailers));
  }

  cancel(): void {
    this.#over = true;
  }

  held(difference: number): void {
    this.#sink.held(difference);
  }

  /** Runs work that may let held parts continue, and then lets them continue. */
  run(work: () => void): void {
    if (this.#over) return;
    try {
      work();
      if (!this.#over) this.#sink.settled();
    } catch (error) {
      this.fail(error);
    }
  }

  stop(outcome: Exclude<StreamOutcome<never>, { kind: "pass" }>): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.stopped(outcome.kind === "reply" ? outcome.reply : undefined);
  }

  fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.failed(error);
  }

  get #first(): FlowTarget {
    return this.#stages[0] ?? this.#sink;
  }
}

class FlowStage implements FlowTarget, FilterResponse {
  readonly request: FilterRequest;
  status = 0;
  fields: FilterResponse["fields"] = [];
  trailers: readonly string[] | undefined;
  readonly #flow: MessageFlow;
  readonly #step: FlowStep;
  readonly #next: FlowTarget;
  /** The part of the body that this filter holds. Bodies arrive here without chunk framing. */
  readonly #held: HeldBody;
  #head: "awaited" | "held" | "gone" = "awaited";
  /** Whether the head is the whole message, because it has no body. */
  #headIsAll = false;
  #newBody: Buffer | undefined;
  #asking = false;
  #ended = false;

  constructor(flow: MessageFlow, request: FilterRequest, step: FlowStep, next: FlowTarget) {
    this.#flow = flow;
    this.request = request;
    this.#step = step;
    this.#next = next;
    this.#held = new HeldBody(false, (difference) => flow.held(difference));
  }

  get heldBytes(): number {
    return this.#held.size;
  }

  get wantsMore(): boolean {
    return this.#held.wanted;
  }

  skipHead(): void {
    this.#head = "gone";
  }

  head(head: FlowHead, end: boolean): void {
    this.status = head.status;
    this.fields = head.fields;
    this.#head = "held";
    this.#headIsAll = end;
    if (end) this.#held.end();
    this.#advance();
  }

  body(bytes: Buffer, from: number, to: number, end: boolean): void {
    if (this.#ended) return;
    const isFree = this.#head === "gone" && !this.#asking && this.#held.size === 0;
    if (isFree && this.#step.body === undefined) {
      this.#ended = end;
      this.#next.body(bytes, from, to, end);
      return;
    }
    this.#held.add(bytes, from, to, end);
    this.#advance();
  }

  end(trailers: readonly string[]): void {
    if (this.#ended) return;
    this.trailers = trailers;
    this.#held.end();
    this.#advance();
  }

  async bodyStart(limit: number): Promise<RequestBodyStart> {
    const start = this.#held.start(limit);
    // The sender may continue, because the filter asked for more of the body.
    if (this.#held.wanted) this.#flow.run(() => undefined);
    const { bytes, isWhole } = await start;
    return { bytes: this.#newBody?.subarray(0, limit) ?? bytes, isWhole };
  }

  replaceBody(bytes: Buffer): void {
    this.#newBody = bytes;
    this.fields = [
      ...this.fields.filter(([name]) => !bodyFramingHeaders.has(name)),
      ["content-length", String(bytes.length)],
    ];
  }

  #advance(): void {
    while (!this.#asking && !this.#ended && !this.#flow.over && this.#pass()) continue;
  }

  /** Passes the next part. Returns false if there is none yet. */
  #pass(): boolean {
    if (this.#head === "awaited") return false;
    const { head, body, trailers } = this.#step;
    if (this.#head === "held") {
      this.#ask(head?.(this, this.#headIsAll) ?? passed, () => this.#headGone());
      return true;
    }
    const { complete, size } = this.#held;
    const end = complete && this.trailers === undefined;
    if (size > 0 || end) {
      const bytes = this.#held.take();
      this.#ask(body?.(bytes, end) ?? { kind: "pass", part: bytes }, (part) => {
        this.#ended = end;
        if (part.length > 0 || end) this.#next.body(part, 0, part.length, end);
      });
      return true;
    }
    if (!complete || this.trailers === undefined) return false;
    const part = { body: noBytes, trailers: this.trailers };
    this.#ask(trailers?.(this.trailers) ?? { kind: "pass", part }, (tail) => {
      this.#ended = true;
      if (tail.body.length > 0) this.#next.body(tail.body, 0, tail.body.length, false);
      this.#next.end(tail.trailers);
    });
    return true;
  }

  #headGone(): void {
    this.#head = "gone";
    const newBody = this.#newBody;
    this.#ended = newBody !== undefined || this.#headIsAll;
    this.#next.head(this, newBody === undefined ? this.#headIsAll : newBody.length === 0);
    if (newBody !== undefined && newBody.length > 0) this.#next.body(newBody, 0, newBody.length, true);
  }

  #ask<Part>(outcome: Later<StreamOutcome<Part>>, goOn: (part: Part) => void): void {
    if (!(outcome instanceof Promise)) {
      this.#take(outcome, goOn);
      return;
    }
    this.#asking = true;
    outcome.then(
      (later) =>
        this.#flow.run(() => {
          this.#asking = false;
          this.#take(later, goOn);
          this.#advance();
        }),
      (error: unknown) => this.#flow.fail(error),
    );
  }

  #take<Part>(outcome: StreamOutcome<Part>, goOn: (part: Part) => void): void {
    if (outcome.kind === "pass") goOn(outcome.part);
    else this.#flow.stop(outcome);
  }
}
