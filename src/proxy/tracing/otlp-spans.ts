import type * as Api from "@opentelemetry/api";
import type { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { EncodeBatch } from "./batch-exporter.ts";
import type { Span } from "./span.ts";

type ReadableSpan = Parameters<(typeof ProtobufTraceSerializer)["serializeRequest"]>[0][number];

interface Library {
  readonly api: Pick<typeof Api, "SpanKind" | "SpanStatusCode">;
  readonly serializer: Pick<typeof ProtobufTraceSerializer, "serializeRequest">;
}

async function load(): Promise<Library> {
  const [api, { ProtobufTraceSerializer: serializer }] = await Promise.all([import("@opentelemetry/api"), import("@opentelemetry/otlp-transformer")]);
  return { api, serializer };
}

const sampledFlag = 1;
const traceIdDigits = 32;
const msPerSecond = 1000;
const nanosPerMs = 1_000_000;

/** OTLP's message of a batch in protobuf, by OpenTelemetry's own library, which is loaded with the first batch or by an empty one before. */
export function otlpSpans(resource: Readonly<Record<string, string>>): EncodeBatch<Span> {
  let library: Promise<Library> | undefined;
  return async (spans) => {
    const { api, serializer } = await (library ??= load());
    const shared = { resource: { attributes: resource, asyncAttributesPending: false } as unknown as ReadableSpan["resource"], instrumentationScope: { name: "" } };
    const bytes = serializer.serializeRequest(spans.map((span) => readableOf(span, shared, api)));
    return Buffer.from(bytes ?? []);
  };
}

function readableOf(span: Span, shared: Pick<ReadableSpan, "resource" | "instrumentationScope">, api: Library["api"]): ReadableSpan {
  const { name, kind, startMs, durationMs, tags } = span;
  const traceId = span.traceId.padStart(traceIdDigits, "0");
  const contextOf = (spanId: string): ReturnType<ReadableSpan["spanContext"]> => ({ traceId, spanId, traceFlags: sampledFlag });
  return {
    ...shared,
    name,
    kind: kind === "server" ? api.SpanKind.SERVER : api.SpanKind.CLIENT,
    spanContext: () => contextOf(span.spanId),
    ...(span.parentSpanId === undefined ? {} : { parentSpanContext: contextOf(span.parentSpanId) }),
    startTime: timeOf(startMs),
    endTime: timeOf(startMs + durationMs),
    duration: timeOf(durationMs),
    ended: true,
    status: { code: tags.get("error") === "true" ? api.SpanStatusCode.ERROR : api.SpanStatusCode.UNSET },
    attributes: Object.fromEntries(tags),
    links: [],
    events: [],
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Unix time, or a duration, as seconds and nanoseconds. */
export function timeOf(ms: number): Api.HrTime {
  const seconds = Math.floor(ms / msPerSecond);
  return [seconds, Math.round((ms - seconds * msPerSecond) * nanosPerMs)];
}
