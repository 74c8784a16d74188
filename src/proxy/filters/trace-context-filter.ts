import type { Random } from "../../base/index.ts";
import type { FilterRequest, HttpFilter } from "./http-filter.ts";

export interface TraceContextOptions {
  /** Which forms a new context is given in. */
  readonly formats: readonly ("b3" | "w3c")[];
  /** Of new traces, the share that is kept: from 0 to 1. */
  readonly sampled: number;
  readonly shortTraceIds: boolean;
  readonly random: Random;
}

const givenFields = ["traceparent", "x-b3-traceid", "b3"];
const traceIdLength = 32;
const shortIdLength = 16;

/**
 * Gives requests without a trace's context one, so that all that serve them join one trace, kept or not by chance. A context that a
 * request brings goes on as it is: this proxy sends no spans, and a span of its own would be missing in the trace.
 */
export class TraceContextFilter implements HttpFilter {
  readonly name = "serin.trace_context";
  readonly #options: TraceContextOptions;

  constructor(options: TraceContextOptions) {
    this.#options = options;
  }

  onRequest(request: FilterRequest): undefined {
    if (givenFields.some((name) => request.header(name) !== undefined)) return;
    const { formats, sampled, shortTraceIds, random } = this.#options;
    const isSampled = random() < sampled;
    const traceId = hexadecimal(shortTraceIds ? shortIdLength : traceIdLength, random);
    const spanId = hexadecimal(shortIdLength, random);
    if (formats.includes("w3c")) request.setHeader("traceparent", `00-${traceId.padStart(traceIdLength, "0")}-${spanId}-${isSampled ? "01" : "00"}`);
    if (formats.includes("b3")) {
      request.setHeader("x-b3-traceid", traceId);
      request.setHeader("x-b3-spanid", spanId);
      request.setHeader("x-b3-sampled", isSampled ? "1" : "0");
    }
  }
}

const digitsAtOnce = 8;

/** Never all zeros, which stands for no id. */
function hexadecimal(length: number, random: Random): string {
  let out = "";
  while (out.length < length) out += Math.floor(random() * 2 ** 32).toString(16).padStart(digitsAtOnce, "0");
  return /^0*$/.test(out) ? `${out.slice(1)}1` : out;
}
