import type { Random } from "../../base/index.ts";
import type { MessageHead } from "../../wire/http1/index.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import type { CaptureIndex } from "../record/capture-index.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import type { Span } from "./span.ts";
import type { BatchExporter } from "./batch-exporter.ts";
import { downstreamTags, operationOf, upstreamTags, type CustomSpanTag } from "./span-tags.ts";
import type { TracedNode } from "./traced-node.ts";
import {
  contextLines,
  newUnkeptTrace,
  randomSpanId,
  randomTraceId,
  readContext,
  replacedFields,
  type TraceFormat,
} from "./trace-context.ts";

export interface RequestTracingOptions {
  /** The formats in which the trace context is sent to the upstream. */
  readonly formats: readonly TraceFormat[];
  /** The formats in which a client's trace context is accepted. The first one that is present counts. */
  readonly readFormats: readonly TraceFormat[];
  readonly shortTraceIds: boolean;
  /**
   * The shares (0 to 1) of requests that are traced: of requests without a context, of requests whose client asks for a
   * trace, and an upper limit for both together.
   */
  readonly randomShare: number;
  readonly clientShare: number;
  readonly overallShare: number;
  /** Whether the id of a request decides if the request is traced. */
  readonly byRequestId: boolean;
  readonly propagates: boolean;
  readonly spawnsUpstreamSpan: boolean;
  readonly maxPathLength: number;
  readonly customTags: readonly CustomSpanTag[];
  /** Sends the spans. If undefined, no spans are sent, and a request's trace context is passed on unchanged. */
  readonly exporter: BatchExporter<Span> | undefined;
  readonly node: TracedNode;
}

export interface TracedRequest {
  readonly head: MessageHead;
  /** The request's id. If the request is traced and its id is new, tracing replaces it by one with a mark. */
  requestId: string;
  readonly requestIdIsNew: boolean;
  /** Whether the request's tracing headers are trusted. */
  readonly internalPeer: boolean;
}

/** The position of the character in a request's id that says whether and why the request is traced. */
const decisionAt = 14;
const sampledMark = "9";
const tracedMarks = "9ab";
const requestIdLength = 36;

/**
 * Decides which requests are traced, passes their contexts on, and makes their spans. A request that is not traced
 * costs little: its ids are a few numbers if W3C's header is the only format, and short strings otherwise.
 */
export class RequestTracing {
  readonly #options: RequestTracingOptions;
  readonly #replaced: ReadonlySet<string>;
  /** Whether W3C's header line is all that an unrecorded trace adds. */
  readonly #hasPlainLine: boolean;
  readonly #randomShare: number;
  readonly #overallShare: number;

  constructor(options: RequestTracingOptions) {
    this.#options = options;
    this.#replaced = replacedFields(options.formats);
    this.#hasPlainLine = options.propagates && options.formats.join() === "w3c" && !options.shortTraceIds;
    this.#randomShare = options.randomShare;
    this.#overallShare = options.overallShare;
  }

  /**
   * Starts the trace of a request. Returns undefined if there is nothing to do: the request's own context then passes
   * unchanged.
   */
  start(facts: TracedRequest, random: Random): RequestTrace | undefined {
    // For most requests, chance alone decides: they carry no trace context, and the proxy makes their id.
    if (!facts.head.mayTellOfTrace && facts.requestIdIsNew)
      return this.#byChance(random) ? this.#begin(facts, "none", true) : this.#unkept();
    const { exporter, readFormats } = this.#options;
    const given = facts.head.mayTellOfTrace ? readContext(facts.head, readFormats) : "none";
    const hasContext = given !== "none" && "traceId" in given;
    if (hasContext && (exporter === undefined || given.sampled === false)) return undefined;
    const decided = given === "none" ? undefined : "traceId" in given ? given.sampled : given.decision;
    const sampled = decided ?? this.#decide(facts, random);
    if (given === "none" && !sampled) return this.#unkept();
    if (hasContext && !sampled) return undefined;
    return this.#begin(facts, given, sampled);
  }

  #begin(facts: TracedRequest, given: ReturnType<typeof readContext>, sampled: boolean): RequestTrace | undefined {
    const { exporter, formats, propagates, shortTraceIds, spawnsUpstreamSpan } = this.#options;
    if (!sampled && !propagates) return undefined;
    const hasContext = given !== "none" && "traceId" in given;
    const traceId = hasContext ? given.traceId : shortTraceIds ? randomSpanId() : randomTraceId();
    const parentSpanId = hasContext ? given.parentSpanId : undefined;
    const spanId = randomSpanId();
    const upstreamSpanId = sampled && spawnsUpstreamSpan && exporter !== undefined ? randomSpanId() : undefined;
    const lines = propagates
      ? contextLines(
          upstreamSpanId === undefined
            ? { traceId, spanId, parentSpanId, sampled }
            : { traceId, spanId: upstreamSpanId, parentSpanId: spanId, sampled },
          formats,
        )
      : "";
    if (sampled && facts.requestIdIsNew) {
      const { requestId } = facts;
      facts.requestId = `${requestId.slice(0, decisionAt)}${sampledMark}${requestId.slice(decisionAt + 1)}`;
    }
    return {
      traceId,
      spanId,
      parentSpanId,
      sampled: sampled && exporter !== undefined,
      upstreamSpanId,
      lines,
      replaced: given === "none" || !propagates ? undefined : this.#replaced,
      forwardedMs: 0,
      operationGiven: sampled ? facts.head.get("x-envoy-decorator-operation") : undefined,
    };
  }

  /**
   * Begins a trace that is not recorded. Its headers tell the upstream not to record it either. Undefined if contexts
   * are not passed on.
   */
  #unkept(): RequestTrace | undefined {
    if (this.#hasPlainLine) return newUnkeptTrace();
    const { formats, shortTraceIds, propagates } = this.#options;
    if (!propagates) return undefined;
    const traceId = shortTraceIds ? randomSpanId() : randomTraceId();
    const spanId = randomSpanId();
    const lines = contextLines({ traceId, spanId, parentSpanId: undefined, sampled: false }, formats);
    return {
      traceId,
      spanId,
      parentSpanId: undefined,
      sampled: false,
      upstreamSpanId: undefined,
      lines,
      replaced: undefined,
      forwardedMs: 0,
      operationGiven: undefined,
    };
  }

  #decide(facts: TracedRequest, random: Random): boolean {
    const { byRequestId, clientShare } = this.#options;
    const { head } = facts;
    const isAsked =
      (byRequestId && !facts.requestIdIsNew && isMarked(facts.requestId)) ||
      (clientShare > 0 && head.mayTellOfTrace && head.find("x-client-trace-id") >= 0 && random() < clientShare) ||
      (facts.internalPeer && head.mayTellOfTrace && head.find("x-envoy-force-trace") >= 0);
    return isAsked ? this.#staysOverall(random) : this.#byChance(random);
  }

  #byChance(random: Random): boolean {
    return random() < this.#randomShare && this.#staysOverall(random);
  }

  #staysOverall(random: Random): boolean {
    return this.#overallShare >= 1 || random() < this.#overallShare;
  }

  finish(record: ExchangeRecord, trace: RequestTrace, side: "ingress" | "egress", capture: CaptureIndex): void {
    const { exporter, spawnsUpstreamSpan, customTags, maxPathLength, node } = this.#options;
    if (exporter === undefined || record.isHealthCheck) return;
    const context = { record, capture, customTags, node };
    const { traceId, startMs, durationMs } = {
      traceId: trace.traceId,
      startMs: record.startedMs,
      durationMs: record.durationMs,
    };
    const span: Span = {
      traceId,
      spanId: trace.spanId,
      parentSpanId: trace.parentSpanId,
      isParentRemote: true,
      name: operationOf(record, trace, side),
      kind: spawnsUpstreamSpan || side === "ingress" ? "server" : "client",
      startMs,
      durationMs,
      tags: downstreamTags(context, maxPathLength),
    };
    exporter.add(span);
    const { cluster } = record;
    if (trace.upstreamSpanId === undefined || trace.forwardedMs === 0 || cluster === undefined) return;
    const waitedMs = trace.forwardedMs - startMs;
    exporter.add({
      traceId,
      spanId: trace.upstreamSpanId,
      parentSpanId: trace.spanId,
      isParentRemote: false,
      name: `router ${cluster.name} egress`,
      kind: "client",
      startMs: trace.forwardedMs,
      durationMs: Math.max(0, durationMs - waitedMs),
      tags: upstreamTags(context),
    });
  }
}

/** Whether the id of a request says that an earlier proxy traces the request. */
function isMarked(requestId: string): boolean {
  return requestId.length === requestIdLength && tracedMarks.includes(requestId.charAt(decisionAt));
}
