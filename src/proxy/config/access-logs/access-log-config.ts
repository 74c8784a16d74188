import type {
  AccessLog as AccessLogMessage,
  FileAccessLog,
  OpenTelemetryAccessLogConfig,
  StdoutAccessLog,
  SubstitutionFormatString,
} from "../../../wire/envoy/index.ts";
import { compileJsonFormat, compileTextFormat, envoyDefaultFormat, type LogFormat } from "../../record/log-format.ts";
import { unsupported, type ConfigNotes } from "../config-check.ts";
import type { AccessLogSpec } from "../../record/access-log-spec.ts";
import { compileLogFilter, type LogFilter } from "./log-filter-config.ts";
import { compileOtlpLog } from "./otlp-log-config.ts";
import { compileServiceLog, type ServiceLogMessage } from "./service-log-config.ts";
import { contentTypeUrl, typeNameOf, unpack } from "../typed-struct.ts";

/** The types of access logs that send Envoy's own log entries to a service over gRPC. */
const serviceLog = /^envoy\.extensions\.access_loggers\.grpc\.v3\.(Http|Tcp)GrpcAccessLogConfig$/;

/**
 * Compiles access logs to files, to OTLP services, and to services that speak Envoy's own protocol. Throws an error
 * that names a log of any other kind.
 */
export function compileAccessLogs(
  messages: readonly AccessLogMessage[],
  outer: string,
  notes: ConfigNotes,
): AccessLogSpec[] {
  return messages.flatMap((message) => {
    const where = `${outer}: accessLog ${message.name}`;
    const typed = message.configType.case === "typedConfig" ? message.configType.value : undefined;
    const typeName = typed === undefined ? "no typedConfig" : typeNameOf({ typeUrl: contentTypeUrl(typed) });
    const filter = message.filter === undefined ? undefined : compileLogFilter(message.filter, where);
    const config = typed === undefined ? undefined : unpack(typed, where);
    if (config?.$typeName === "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog")
      return specOf(standardOutput, compileStreamFormat(config as StdoutAccessLog, where), filter);
    if (config?.$typeName === "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig") {
      return sentTo(compileOtlpLog(config as OpenTelemetryAccessLogConfig, where, notes), filter);
    }
    if (config !== undefined && serviceLog.test(config.$typeName))
      return sentTo(compileServiceLog(config as ServiceLogMessage, where, notes), filter);
    if (config?.$typeName !== "envoy.extensions.access_loggers.file.v3.FileAccessLog")
      throw unsupported(where, typeName);
    const file = config as FileAccessLog;
    return specOf(file.path, compileFormat(file, where), filter);
  });
}

function sentTo(
  log: Omit<AccessLogSpec, "path" | "wants"> | undefined,
  filter: LogFilter | undefined,
): AccessLogSpec[] {
  if (log === undefined) return [];
  return [
    {
      ...log,
      path: "",
      wants: filter?.wants,
      requestCapture: [...log.requestCapture, ...(filter?.requestCapture ?? [])],
      responseCapture: [...log.responseCapture, ...(filter?.responseCapture ?? [])],
    },
  ];
}

function specOf(path: string, format: LogFormat, filter: LogFilter | undefined): AccessLogSpec {
  return {
    path,
    format,
    wants: filter?.wants,
    requestCapture: [...format.requestCapture, ...(filter?.requestCapture ?? [])],
    responseCapture: [...format.responseCapture, ...(filter?.responseCapture ?? [])],
  };
}

const standardOutput = "/dev/stdout";

function compileStreamFormat(log: StdoutAccessLog, where: string): LogFormat {
  const refuse = (operator: string): Error => unsupported(where, operator);
  const format = log.accessLogFormat;
  return format.case === undefined
    ? compileTextFormat(envoyDefaultFormat, refuse)
    : compileSubstitution(format.value, where, refuse);
}

function compileSubstitution(
  message: SubstitutionFormatString,
  where: string,
  refuse: (operator: string) => Error,
): LogFormat {
  const inner = message.format;
  if (inner.case === "textFormat")
    return compileTextFormat(inner.value, refuse, { omitsEmpty: message.omitEmptyValues });
  if (inner.case === "jsonFormat")
    return compileJsonFormat(inner.value, refuse, { omitsEmpty: message.omitEmptyValues });
  const source = inner.case === "textFormatSource" ? inner.value.specifier : undefined;
  if (source?.case === "inlineString")
    return compileTextFormat(source.value, refuse, { omitsEmpty: message.omitEmptyValues });
  throw unsupported(where, `logFormat.${inner.case ?? "(none)"}`);
}

function compileFormat(file: FileAccessLog, where: string): LogFormat {
  const refuse = (operator: string): Error => unsupported(where, operator);
  const format = file.accessLogFormat;
  switch (format.case) {
    case undefined:
      return compileTextFormat(envoyDefaultFormat, refuse);
    case "format":
      return compileTextFormat(format.value === "" ? envoyDefaultFormat : format.value, refuse);
    case "jsonFormat":
    case "typedJsonFormat":
      return compileJsonFormat(format.value, refuse);
    case "logFormat":
      return compileSubstitution(format.value, where, refuse);
  }
}
