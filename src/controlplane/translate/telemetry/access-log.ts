import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { FileAccessLogSchema, type AccessLogSchema } from "../../../wire/envoy/index.ts";
import { ReqWithoutQuerySchema } from "../../../wire/envoy-telemetry/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { packed } from "../envoy-any.ts";

export type AccessLogInit = Exclude<MessageInitShape<typeof AccessLogSchema>, { $typeName: string }>;

/** The path and format of a file access log. An empty path disables the log. */
export interface FileLogSettings {
  readonly path: string;
  readonly encoding: "TEXT" | "JSON";
  /** A text or, for JSON, an object of command operators. Empty means Istio's default. */
  readonly format: string;
  /** Whether missing values are omitted, instead of written as `-` or null. */
  readonly omitEmptyValues?: boolean;
}

const field = (name: string): string => `%${name}%`;

/** Istio's fields, by their JSON keys, in the order of its text format. */
const istioFields = {
  start_time: field("START_TIME"),
  method: field("REQ(:METHOD)"),
  path: field("REQ(X-ENVOY-ORIGINAL-PATH?:PATH)"),
  protocol: field("PROTOCOL"),
  response_code: field("RESPONSE_CODE"),
  response_flags: field("RESPONSE_FLAGS"),
  response_code_details: field("RESPONSE_CODE_DETAILS"),
  connection_termination_details: field("CONNECTION_TERMINATION_DETAILS"),
  upstream_transport_failure_reason: field("UPSTREAM_TRANSPORT_FAILURE_REASON"),
  bytes_received: field("BYTES_RECEIVED"),
  bytes_sent: field("BYTES_SENT"),
  duration: field("DURATION"),
  upstream_service_time: field("RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)"),
  x_forwarded_for: field("REQ(X-FORWARDED-FOR)"),
  user_agent: field("REQ(USER-AGENT)"),
  request_id: field("REQ(X-REQUEST-ID)"),
  authority: field("REQ(:AUTHORITY)"),
  upstream_host: field("UPSTREAM_HOST"),
  upstream_cluster: field("UPSTREAM_CLUSTER_RAW"),
  upstream_local_address: field("UPSTREAM_LOCAL_ADDRESS"),
  downstream_local_address: field("DOWNSTREAM_LOCAL_ADDRESS"),
  downstream_remote_address: field("DOWNSTREAM_REMOTE_ADDRESS"),
  requested_server_name: field("REQUESTED_SERVER_NAME"),
  route_name: field("ROUTE_NAME"),
} as const;

const f = istioFields;
/** The part of Istio's text format about the request. The part about the destination follows it. */
export const istioTextStart =
  `[${f.start_time}] "${f.method} ${f.path} ${f.protocol}" ${f.response_code} ${f.response_flags} ${f.response_code_details} ${f.connection_termination_details} ` +
  `"${f.upstream_transport_failure_reason}" ${f.bytes_received} ${f.bytes_sent} ${f.duration} ${f.upstream_service_time} "${f.x_forwarded_for}" "${f.user_agent}" ` +
  `"${f.request_id}" "${f.authority}"`;
export const istioText =
  `${istioTextStart} "${f.upstream_host}" ${f.upstream_cluster} ${f.upstream_local_address} ${f.downstream_local_address} ` +
  `${f.downstream_remote_address} ${f.requested_server_name} ${f.route_name}\n`;

export function meshAccessLogs(mesh: MeshSettings): AccessLogInit[] {
  return fileAccessLogs({ path: mesh.accessLogFile, encoding: mesh.accessLogEncoding, format: mesh.accessLogFormat });
}

/** The access logs of a listener for connections that match no filter chain. No other log contains these. */
export function unmatchedAccessLogs(
  logs: readonly AccessLogInit[],
  { disableEnvoyListenerLog }: Pick<MeshSettings, "disableEnvoyListenerLog">,
): AccessLogInit[] {
  if (disableEnvoyListenerLog) return [];
  return logs.map((log) => ({
    ...log,
    filter: both({ filterSpecifier: { case: "responseFlagFilter", value: { flags: ["NR"] } } }, log.filter),
  }));
}

type LogFilterInit = NonNullable<AccessLogInit["filter"]>;

function both(own: LogFilterInit, given: AccessLogInit["filter"]): LogFilterInit {
  return given === undefined ? own : { filterSpecifier: { case: "andFilter", value: { filters: [own, given] } } };
}

export function fileAccessLogs(settings: FileLogSettings): AccessLogInit[] {
  if (settings.path === "") return [];
  const format = formatOf(settings);
  const config = packed(FileAccessLogSchema, {
    path: settings.path,
    accessLogFormat: {
      case: "logFormat",
      value: { format, formatters: formattersOf(settings.format), omitEmptyValues: settings.omitEmptyValues ?? false },
    },
  });
  return [{ name: "envoy.access_loggers.file", configType: { case: "typedConfig", value: config } }];
}

/** The formatter extensions for those of the format's operators that Envoy's core lacks. */
export function formattersOf(format: string): { name: string; typedConfig: Any }[] {
  return format.includes("%REQ_WITHOUT_QUERY")
    ? [{ name: "envoy.formatter.req_without_query", typedConfig: packed(ReqWithoutQuerySchema, {}) }]
    : [];
}

function formatOf(settings: FileLogSettings) {
  if (settings.encoding === "TEXT") {
    const inlineString =
      settings.format === "" ? istioText : settings.format.endsWith("\n") ? settings.format : `${settings.format}\n`;
    return {
      case: "textFormatSource" as const,
      value: { specifier: { case: "inlineString" as const, value: inlineString } },
    };
  }
  return { case: "jsonFormat" as const, value: jsonFields(settings.format) };
}

/** The fields of a JSON log. As in upstream, a format that is not a JSON object is replaced by Istio's fields. */
function jsonFields(format: string): JsonObject {
  if (format === "") return istioFields;
  try {
    const parsed: unknown = JSON.parse(format);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
      ? (parsed as JsonObject)
      : istioFields;
  } catch {
    return istioFields;
  }
}
