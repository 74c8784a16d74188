import { randomFillSync } from "node:crypto";
import type { MessageHead } from "../../wire/http1/index.ts";
import { RandomWords } from "../terms/random-id.ts";
import { traceWords, UnkeptTrace } from "../terms/request-trace.ts";

/** The headers that carry a trace's context from proxy to proxy. */
export type TraceFormat = "b3" | "w3c";

export interface GivenContext {
  readonly traceId: string;
  readonly parentSpanId: string;
  /** Whether the trace's spans are sent. Undefined if no earlier hop has decided. */
  readonly sampled: boolean | undefined;
}

const traceParentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;
const b3Pattern = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?/i;
const sampledBit = 1;
const longTraceIdDigits = 32;

/**
 * Reads the context in the first of these formats that the request uses. Returns `none` if there is no context, or an
 * unreadable one. A decision without ids (`b3: 0`) is returned as such.
 */
export function readContext(
  head: MessageHead,
  formats: readonly TraceFormat[],
): GivenContext | { readonly decision: boolean } | "none" {
  for (const format of formats) {
    const found = format === "w3c" ? readW3c(head) : readB3(head);
    if (found !== "none") return found;
  }
  return "none";
}

function readW3c(head: MessageHead): GivenContext | "none" {
  const field = head.find("traceparent");
  const match = field < 0 ? null : traceParentPattern.exec(head.value(field).toLowerCase());
  if (match === null) return "none";
  const [, traceId = "", parentSpanId = "", flags = "00"] = match;
  return isZero(traceId) || isZero(parentSpanId)
    ? "none"
    : { traceId, parentSpanId, sampled: (Number.parseInt(flags, 16) & sampledBit) === sampledBit };
}

function readB3(head: MessageHead): GivenContext | { readonly decision: boolean } | "none" {
  const single = head.find("b3");
  if (single >= 0) {
    const value = head.value(single);
    if (value === "0" || value === "1" || value === "d") return { decision: value !== "0" };
    const match = b3Pattern.exec(value);
    if (match !== null)
      return {
        traceId: (match[1] ?? "").toLowerCase(),
        parentSpanId: (match[2] ?? "").toLowerCase(),
        sampled: match[3] === undefined ? undefined : match[3] !== "0",
      };
  }
  const traceField = head.find("x-b3-traceid");
  const sampledText = head.get("x-b3-flags") === "1" ? "1" : head.get("x-b3-sampled");
  const sampled = sampledText === undefined ? undefined : sampledText === "1" || sampledText === "true";
  if (traceField < 0) return sampled === undefined ? "none" : { decision: sampled };
  const traceId = head.value(traceField).toLowerCase();
  const parentSpanId = (head.get("x-b3-spanid") ?? "").toLowerCase();
  return /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/.test(traceId) && /^[0-9a-f]{16}$/.test(parentSpanId)
    ? { traceId, parentSpanId, sampled }
    : "none";
}

function isZero(digits: string): boolean {
  return /^0+$/.test(digits);
}

/** The trace context that the proxy passes on with its own span. */
export interface OwnContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly sampled: boolean;
}

export function contextLines(
  { traceId, spanId, parentSpanId, sampled }: OwnContext,
  formats: readonly TraceFormat[],
): string {
  let lines = "";
  for (const format of formats) {
    if (format === "w3c")
      lines += `traceparent: 00-${traceId.padStart(longTraceIdDigits, "0")}-${spanId}-${sampled ? "01" : "00"}\r\n`;
    else {
      lines += `x-b3-traceid: ${traceId}\r\nx-b3-spanid: ${spanId}\r\nx-b3-sampled: ${sampled ? "1" : "0"}\r\n`;
      if (parentSpanId !== undefined) lines += `x-b3-parentspanid: ${parentSpanId}\r\n`;
    }
  }
  return lines;
}

const contextFields: Readonly<Record<TraceFormat, readonly string[]>> = {
  w3c: ["traceparent"],
  b3: ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"],
};

/** The names (lower case) of the headers that {@link contextLines} writes, so that the client's are removed. */
export function replacedFields(formats: readonly TraceFormat[]): ReadonlySet<string> {
  return new Set(formats.flatMap((format) => contextFields[format]));
}

const fill = (bytes: Uint8Array): void => {
  randomFillSync(bytes);
};

const words = new RandomWords(fill);

/** An id of a trace: 32 hexadecimal digits. */
export function randomTraceId(): string {
  return words.hexText(4);
}

/** An id with 16 hexadecimal digits: of a span, or a short id of a trace. */
export function randomSpanId(): string {
  return words.hexText(2);
}

export function newUnkeptTrace(): UnkeptTrace {
  return new UnkeptTrace(words.words, words.take(traceWords));
}
