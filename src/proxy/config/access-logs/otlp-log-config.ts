import type { OpenTelemetryAccessLogConfig } from "../../../wire/envoy/index.ts";
import type { CaptureIndex } from "../../record/capture-index.ts";
import type { ExchangeRecord } from "../../record/exchange-record.ts";
import { compileTextFormat, type LogFormat } from "../../record/log-format.ts";
import { beginningOf } from "../../terms/beginning-of.ts";
import { otlpLogs, type LogItem } from "../../tracing/otlp-logs.ts";
import type { AccessLogSpec } from "../../record/access-log-spec.ts";
import { durationOr, unsupported, type ConfigNotes } from "../config-check.ts";

const defaultTimeoutMs = 5000;
const exportPath = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/**
 * Compiles an access log to an OTLP service over gRPC. If the service has no cluster, reports this and returns
 * undefined.
 */
export function compileOtlpLog(
  message: OpenTelemetryAccessLogConfig,
  where: string,
  notes: ConfigNotes,
): Pick<AccessLogSpec, "emit" | "format" | "requestCapture" | "responseCapture"> | undefined {
  const service = message.grpcService ?? message.commonConfig?.grpcService;
  const target = service?.targetSpecifier;
  const logName = message.logName === "" ? (message.commonConfig?.logName ?? "") : message.logName;
  if (target?.case !== "envoyGrpc") {
    notes.tell(`the access log ${logName} is not written: its service has no cluster`);
    return undefined;
  }
  const refuse = (operator: string): Error => unsupported(where, operator);
  const formatOf = (value: AnyValue | undefined): LogFormat => compileTextFormat(textOf(value), refuse);
  const body = formatOf(message.body);
  const attributes = (message.attributes?.values ?? []).map(({ key, value }) => [key, formatOf(value)] as const);
  const { exports: collectors } = notes.services;
  const resource = resourceOf(message, logName, collectors.node);
  const request = {
    cluster: target.value.clusterName,
    protocol: "http2" as const,
    path: exportPath,
    authority: target.value.authority === "" ? target.value.clusterName : target.value.authority,
    headers: [
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ...(service?.initialMetadata ?? []).map(({ key, value }) => [key.toLowerCase(), value] as const),
    ] as const,
    timeoutMs: durationOr(service?.timeout, defaultTimeoutMs),
  };
  const exporter = collectors.to<LogItem>(JSON.stringify(["logs", request, resource]), {
    statPrefix: "access_logs.open_telemetry_access_log",
    items: "logs",
    encode: otlpLogs(resource),
    request,
    isGrpc: true,
  });
  if (exporter === undefined) {
    notes.tell(`the access log ${logName} is not written: this proxy does not send to so many collectors`);
    return undefined;
  }
  exporter.prepare();
  const formats = [body, ...attributes.map(([, format]) => format)];
  return {
    format: body,
    emit: (record, capture) =>
      exporter.add({
        timeMs: record.startedMs + record.durationMs,
        body: beginningOf(body.line(record, capture).trimEnd(), maxTextLength),
        attributes: attributesOf(attributes, record, capture),
        trace: record.trace?.sampled === true ? record.trace : undefined,
      }),
    requestCapture: formats.flatMap((format) => format.requestCapture),
    responseCapture: formats.flatMap((format) => format.responseCapture),
  };
}

/**
 * The maximum length of a line's body, and of all its attributes together. What exceeds it is cut off, because lines
 * wait in memory for their collector.
 */
export const maxTextLength = 32_768;

function attributesOf(
  formats: readonly (readonly [key: string, format: LogFormat])[],
  record: ExchangeRecord,
  capture: CaptureIndex,
): Readonly<Record<string, string>> {
  let room = maxTextLength;
  return Object.fromEntries(
    formats.map(([key, format]) => {
      const text = room > 0 ? beginningOf(format.line(record, capture), room) : "";
      room -= text.length;
      return [key, text];
    }),
  );
}

interface AnyValue {
  readonly value: { readonly case: string | undefined; readonly value?: unknown };
}

function textOf(value: AnyValue | undefined): string {
  return typeof value?.value.value === "string" ? value.value.value : "";
}

/** The attributes that describe the source of all lines: Envoy's own labels, then those of the configuration. */
function resourceOf(
  { disableBuiltinLabels, resourceAttributes }: OpenTelemetryAccessLogConfig,
  logName: string,
  node: { readonly id: string; readonly service: string; readonly zone: string },
): Readonly<Record<string, string>> {
  const builtIn = { log_name: logName, node_name: node.id, cluster_name: node.service, zone_name: node.zone };
  return {
    ...(disableBuiltinLabels ? {} : builtIn),
    ...Object.fromEntries((resourceAttributes?.values ?? []).map(({ key, value }) => [key, textOf(value)])),
  };
}
