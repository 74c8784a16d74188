import {
  envoyCelFault,
  type ExtensionProvider,
  type FileLogProvider,
  type GrpcLogProvider,
  type OpenTelemetryLogProvider,
  type Telemetry,
  type TelemetryAccessLogging,
} from "../../../api/istio/index.ts";
import {
  ApiVersion,
  ExpressionFilterSchema,
  HttpGrpcAccessLogConfigSchema,
  OpenTelemetryAccessLogConfigSchema,
  TcpGrpcAccessLogConfigSchema,
} from "../../../wire/envoy/index.ts";
import { compareText, type MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import { unacceptedFilter } from "../envoy-access-logs.ts";
import { fileAccessLogs, formattersOf, istioText, meshAccessLogs, type AccessLogInit } from "./access-log.ts";
import { packed } from "../envoy-any.ts";
import { namesOf, providerOf, type ProviderSource } from "./telemetry-provider.ts";

type Level = Pick<Telemetry["spec"], "accessLogging">;
type Mode = "CLIENT" | "SERVER";

type LogFilter = NonNullable<TelemetryAccessLogging["filter"]>;

interface Choice {
  readonly disabled: boolean;
  readonly filter: LogFilter | undefined;
}

/**
 * The access logs for one side of requests. If the Telemetry objects name no known provider, the mesh config's access
 * log is used.
 */
export function accessLogsOf(levels: readonly Level[], mode: Mode, source: ProviderSource): AccessLogInit[] {
  const { mesh } = source;
  const configured = levels.map(({ accessLogging }) => accessLogging).filter((entries) => entries.length > 0);
  if (configured.length === 0 && mesh.defaultAccessLogProviders.length === 0) return meshAccessLogs(mesh);
  const choices = merged(configured, mode, mesh.defaultAccessLogProviders);
  const known = [...choices].flatMap(([name, choice]) => {
    const provider = providerOf(name, mesh);
    const log = provider === undefined ? undefined : providerLog(provider, source);
    return provider === undefined || log === undefined ? [] : [{ provider, choice, log }];
  });
  if (known.length === 0) return meshAccessLogs(mesh);
  return known
    .toSorted((left, right) => compareText(left.provider.name, right.provider.name))
    .filter(({ choice }) => !choice.disabled)
    .map(({ log, choice }) =>
      choice.filter === undefined ? log : { ...log, filter: expressionFilter(choice.filter) },
    );
}

/**
 * The providers of the narrowest level that names any. A wider level's settings for them apply unless a narrower level
 * replaces them.
 */
function merged(
  levels: readonly (readonly TelemetryAccessLogging[])[],
  mode: Mode,
  defaults: readonly string[],
): ReadonlyMap<string, Choice> {
  const plain: Choice = { disabled: false, filter: undefined };
  if (levels.length === 0) return new Map(defaults.map((name) => [name, plain]));
  let names = defaults;
  const filters = new Map<string, LogFilter | undefined>();
  for (const entries of levels) {
    const matching = entries.filter((entry) => holdsFor(entry, mode));
    for (const entry of matching) for (const name of namesOf(entry.providers)) filters.set(name, entry.filter);
    const named = matching.flatMap((entry) => namesOf(entry.providers));
    if (named.length > 0) names = named;
  }
  const inScope = new Set(names);
  const choices = new Map<string, Choice>();
  let inherited = defaults;
  for (const entry of levels.flat()) {
    if (entry.providers.length > 0) inherited = namesOf(entry.providers);
    if (!holdsFor(entry, mode)) continue;
    for (const name of inherited)
      if (inScope.has(name))
        choices.set(
          name,
          entry.disabled === true
            ? { disabled: true, filter: undefined }
            : { disabled: false, filter: filters.get(name) },
        );
  }
  return choices;
}

function holdsFor({ match }: TelemetryAccessLogging, mode: Mode): boolean {
  return match === undefined || match.mode === "CLIENT_AND_SERVER" || match.mode === mode;
}

/**
 * The filter's name says whether Envoys accept it. An expression is checked once for its Telemetry, because the check
 * is slow and every listener has the expression.
 */
const filterNames = memos.memo<LogFilter, string>("names-of-log-filters");

function expressionFilter(filter: LogFilter): NonNullable<AccessLogInit["filter"]> {
  const { expression } = filter;
  const name = filterNames.of(filter, () =>
    envoyCelFault(expression) === undefined ? "envoy.access_loggers.extension_filters.cel" : unacceptedFilter,
  );
  const value = {
    name,
    configType: { case: "typedConfig" as const, value: packed(ExpressionFilterSchema, { expression }) },
  };
  return { filterSpecifier: { case: "extensionFilter", value } };
}

/** The access log of a provider. Undefined if it has none, or if its service is unknown. */
function providerLog(provider: ExtensionProvider, source: ProviderSource): AccessLogInit | undefined {
  switch (provider.kind) {
    case "access-log-file":
      return fileLog(provider.name, provider.settings, source.mesh)[0];
    case "access-log-http":
    case "access-log-tcp":
      return serviceLog(provider.kind, provider.settings, source);
    case "access-log-opentelemetry":
      return openTelemetryLog(provider.settings, source);
    default:
      return undefined;
  }
}

const builtInFile = "envoy";

/**
 * The access log of a provider that writes a file. The built-in provider uses the mesh config's format. Any other
 * provider without a format uses Istio's default.
 */
function fileLog(
  name: string,
  { path, text, labels, hasFormat, omitEmptyValues }: FileLogProvider,
  mesh: MeshSettings,
): AccessLogInit[] {
  if (name === builtInFile && !hasFormat && !omitEmptyValues)
    return fileAccessLogs({ path, encoding: mesh.accessLogEncoding, format: mesh.accessLogFormat });
  if (labels === undefined) return fileAccessLogs({ path, encoding: "TEXT", format: text, omitEmptyValues });
  return fileAccessLogs({
    path,
    encoding: "JSON",
    format: Object.keys(labels).length === 0 ? "" : JSON.stringify(labels),
    omitEmptyValues,
  });
}

/** The filter state names of the peers' metadata. */
const peers = ["upstream_peer", "downstream_peer"];
/** The same, with the names that proxies before 1.24 used. */
const peersOfAllReleases = [
  ...peers,
  "wasm.upstream_peer",
  "wasm.upstream_peer_id",
  "wasm.downstream_peer",
  "wasm.downstream_peer_id",
];

function serviceLog(
  kind: "access-log-http" | "access-log-tcp",
  settings: GrpcLogProvider,
  source: ProviderSource,
): AccessLogInit | undefined {
  const isHttp = kind === "access-log-http";
  const commonConfig = serviceConfig(
    settings,
    settings.logName ?? (isHttp ? "http_envoy_accesslog" : "tcp_envoy_accesslog"),
    settings.filterStateObjectsToLog.length > 0 ? settings.filterStateObjectsToLog : peers,
    source,
  );
  if (commonConfig === undefined) return undefined;
  if (!isHttp) return log("envoy.tcp_grpc_access_log", packed(TcpGrpcAccessLogConfigSchema, { commonConfig }));
  const { additionalRequestHeadersToLog, additionalResponseHeadersToLog, additionalResponseTrailersToLog } = settings;
  const headers = {
    additionalRequestHeadersToLog: [...additionalRequestHeadersToLog],
    additionalResponseHeadersToLog: [...additionalResponseHeadersToLog],
    additionalResponseTrailersToLog: [...additionalResponseTrailersToLog],
  };
  return log("envoy.access_loggers.http_grpc", packed(HttpGrpcAccessLogConfigSchema, { commonConfig, ...headers }));
}

function openTelemetryLog(settings: OpenTelemetryLogProvider, source: ProviderSource): AccessLogInit | undefined {
  const commonConfig = serviceConfig(settings, settings.logName ?? "otel_envoy_accesslog", peersOfAllReleases, source);
  if (commonConfig === undefined) return undefined;
  const text = settings.text === "" ? istioText : settings.text;
  const labels = Object.entries(settings.labels).sort(([left], [right]) => compareText(left, right));
  return log(
    "envoy.access_loggers.open_telemetry",
    packed(OpenTelemetryAccessLogConfigSchema, {
      commonConfig,
      disableBuiltinLabels: true,
      body: textValue(text),
      ...(labels.length === 0
        ? {}
        : {
            attributes: {
              values: labels.map(([key, value]) => ({ key, value: textValue(typeof value === "string" ? value : "") })),
            },
          }),
      formatters: formattersOf(JSON.stringify([text, settings.labels])),
    }),
  );
}

function textValue(value: string) {
  return { value: { case: "stringValue" as const, value } };
}

function log(name: string, value: ReturnType<typeof packed>): AccessLogInit {
  return { name, configType: { case: "typedConfig", value } };
}

function serviceConfig(
  settings: Pick<GrpcLogProvider, "service" | "port">,
  logName: string,
  filterStateObjectsToLog: readonly string[],
  { clusterOf }: ProviderSource,
) {
  const found = clusterOf(settings);
  if (found === undefined) return undefined;
  return {
    logName,
    grpcService: {
      targetSpecifier: { case: "envoyGrpc" as const, value: { clusterName: found.cluster, authority: found.host } },
    },
    transportApiVersion: ApiVersion.V3,
    filterStateObjectsToLog: [...filterStateObjectsToLog],
  };
}
