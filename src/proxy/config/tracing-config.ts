import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { HttpConnectionManager_TracingSchema, ZipkinConfig_TraceContextOption, ZipkinConfigSchema, type HttpConnectionManager_Tracing } from "../../wire/envoy/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import { TraceContextFilter, type TraceContextOptions } from "../filters/trace-context-filter.ts";
import { checkFields, type ConfigNotes } from "./config-check.ts";

const percent = 100;

/** What a connection manager's tracing means for a proxy that sends no spans: contexts for requests that bring none. */
export function compileTracing(message: HttpConnectionManager_Tracing | undefined, where: string, notes: ConfigNotes): HttpFilter | undefined {
  if (message === undefined) return undefined;
  checkFields(HttpConnectionManager_TracingSchema, message, `${where}: tracing`, notes, {
    used: ["randomSampling", "overallSampling", "provider", "noContextPropagation"],
    harmless: ["clientSampling", "verbose", "maxPathTagLength", "customTags", "spawnUpstreamSpan", "operation", "upstreamOperation"],
  });
  notes.tell("tracing: this proxy passes trace contexts on and sends no spans");
  const formats = formatsOf(message);
  if (message.noContextPropagation || formats === undefined) return undefined;
  const sampled = Math.min(message.randomSampling?.value ?? percent, message.overallSampling?.value ?? percent) / percent;
  return new TraceContextFilter({ ...formats, sampled, random: notes.services.random });
}

/** B3 where no tracer is named: that of the proxy's bootstrap, Zipkin's by upstream's default. Undefined for forms that are not written here. */
function formatsOf({ provider }: HttpConnectionManager_Tracing): Pick<TraceContextOptions, "formats" | "shortTraceIds"> | undefined {
  const config = provider?.configType.case === "typedConfig" ? provider.configType.value : undefined;
  const zipkin = config === undefined ? undefined : anyUnpack(config, ZipkinConfigSchema);
  if (zipkin !== undefined) {
    const both = zipkin.traceContextOption === ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION;
    return { formats: both ? ["b3", "w3c"] : ["b3"], shortTraceIds: !zipkin.traceId128bit };
  }
  if (config === undefined) return { formats: ["b3"], shortTraceIds: false };
  return config.typeUrl.endsWith(".OpenTelemetryConfig") ? { formats: ["w3c"], shortTraceIds: false } : undefined;
}
