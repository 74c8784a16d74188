import {
  CommonGrpcAccessLogConfigSchema,
  HttpGrpcAccessLogConfigSchema,
  TcpGrpcAccessLogConfigSchema,
  type CommonGrpcAccessLogConfig,
  type HttpGrpcAccessLogConfig,
  type TcpGrpcAccessLogConfig,
} from "../../../wire/envoy/index.ts";
import { compileTextFormat } from "../../record/log-format.ts";
import {
  capturedForEntries,
  httpEntry,
  serviceLogs,
  tcpEntry,
  type EntryFields,
  type ServiceLogEntry,
} from "../../tracing/service-logs.ts";
import type { AccessLogSpec } from "../../record/access-log-spec.ts";
import { checkFields, durationOr, type ConfigNotes } from "../config-check.ts";

const defaultTimeoutMs = 5000;
const streamPath = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
/** The filter states that the log may ask for: the workloads at both ends, under Istio's names. */
const knownStates = new Set(["upstream_peer", "downstream_peer"]);

export type ServiceLogMessage = HttpGrpcAccessLogConfig | TcpGrpcAccessLogConfig;

/**
 * Compiles an access log to a service of Envoy's own protocol over gRPC, with one stream for each batch. If the service
 * has no cluster, reports this and returns undefined.
 */
export function compileServiceLog(
  message: ServiceLogMessage,
  where: string,
  notes: ConfigNotes,
): Pick<AccessLogSpec, "emit" | "format" | "requestCapture" | "responseCapture"> | undefined {
  const kind = message.$typeName === "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig" ? "http" : "tcp";
  const fields =
    kind === "http"
      ? httpFields(message as HttpGrpcAccessLogConfig, where, notes)
      : tcpFields(message as TcpGrpcAccessLogConfig, where, notes);
  const common = message.commonConfig;
  const logName = common?.logName ?? "";
  const target = common?.grpcService?.targetSpecifier;
  if (common === undefined || target?.case !== "envoyGrpc") {
    notes.tell(`the access log ${logName} is not written: its service has no cluster`);
    return undefined;
  }
  const entryFields: EntryFields = { ...fields, filterStates: statesOf(common, logName, notes) };
  const { exports: collectors } = notes.services;
  const request = {
    cluster: target.value.clusterName,
    protocol: "http2" as const,
    path: streamPath,
    authority: target.value.authority === "" ? target.value.clusterName : target.value.authority,
    headers: [
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ...(common.grpcService?.initialMetadata ?? []).map(({ key, value }) => [key.toLowerCase(), value] as const),
    ] as const,
    timeoutMs: durationOr(common.grpcService?.timeout, defaultTimeoutMs),
  };
  const exporter = collectors.to<ServiceLogEntry>(JSON.stringify(["service logs", kind, logName, request]), {
    statPrefix: "access_logs.grpc_access_log",
    items: "logs",
    encode: serviceLogs(kind, logName, collectors.node),
    request,
    isGrpc: true,
  });
  if (exporter === undefined) {
    notes.tell(`the access log ${logName} is not written: this proxy does not send to so many collectors`);
    return undefined;
  }
  const write = kind === "http" ? httpEntry : tcpEntry;
  return {
    format: compileTextFormat("", () => new Error("an empty format has no operators")),
    emit: (record, capture) => exporter.add(write(record, capture, entryFields)),
    requestCapture: kind === "http" ? [...capturedForEntries, ...entryFields.requestHeaders] : [],
    responseCapture: entryFields.responseHeaders,
  };
}

type Headers = Omit<EntryFields, "filterStates">;

function httpFields(message: HttpGrpcAccessLogConfig, where: string, notes: ConfigNotes): Headers {
  checkFields(HttpGrpcAccessLogConfigSchema, message, where, notes, {
    used: [
      "commonConfig",
      "additionalRequestHeadersToLog",
      "additionalResponseHeadersToLog",
      "additionalResponseTrailersToLog",
    ],
  });
  checkCommon(message.commonConfig, where, notes);
  const lower = (names: readonly string[]): readonly string[] => names.map((name) => name.toLowerCase());
  return {
    requestHeaders: lower(message.additionalRequestHeadersToLog),
    responseHeaders: lower(message.additionalResponseHeadersToLog),
    responseTrailers: lower(message.additionalResponseTrailersToLog),
  };
}

function tcpFields(message: TcpGrpcAccessLogConfig, where: string, notes: ConfigNotes): Headers {
  checkFields(TcpGrpcAccessLogConfigSchema, message, where, notes, { used: ["commonConfig"] });
  checkCommon(message.commonConfig, where, notes);
  return { requestHeaders: [], responseHeaders: [], responseTrailers: [] };
}

/**
 * The settings of the buffer and of its flushes have no effect, because the proxy bounds the number and the age of
 * waiting entries itself.
 */
function checkCommon(common: CommonGrpcAccessLogConfig | undefined, where: string, notes: ConfigNotes): void {
  if (common === undefined) return;
  checkFields(CommonGrpcAccessLogConfigSchema, common, `${where}: commonConfig`, notes, {
    used: ["logName", "grpcService", "filterStateObjectsToLog"],
    harmless: ["transportApiVersion", "bufferFlushInterval", "bufferSizeBytes", "grpcStreamRetryPolicy"],
  });
}

function statesOf(
  { filterStateObjectsToLog }: CommonGrpcAccessLogConfig,
  logName: string,
  notes: ConfigNotes,
): ReadonlySet<string> {
  const unknown = filterStateObjectsToLog.filter((name) => !knownStates.has(name));
  if (unknown.length > 0)
    notes.tell(
      `the access log ${logName} has no ${unknown.join(", ")}: this proxy knows only the state ${[...knownStates].join(" and ")}`,
    );
  return new Set(filterStateObjectsToLog);
}
