import type { Reader } from "../../reader.ts";
import { maxInt32, readDurationMs, warnOfUnknown } from "../fields.ts";

/** Istio's names with Envoy's names. Undefined means that the profile's action applies. */
const underscoreActions = {
  HEADERS_WITH_UNDERSCORES_UNSPECIFIED: undefined,
  HEADERS_WITH_UNDERSCORES_ALLOW: "ALLOW",
  HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: "REJECT_REQUEST",
  HEADERS_WITH_UNDERSCORES_DROP_HEADER: "DROP_HEADER",
} as const;
const slashActions = {
  PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED: undefined,
  KEEP_UNCHANGED: "KEEP_UNCHANGED",
  REJECT_REQUEST: "REJECT_REQUEST",
  UNESCAPE_AND_REDIRECT: "UNESCAPE_AND_REDIRECT",
  UNESCAPE_AND_FORWARD: "UNESCAPE_AND_FORWARD",
} as const;

type ActionOf<Actions extends Readonly<Record<string, string | undefined>>> = Exclude<
  Actions[keyof Actions],
  undefined
>;

/** `connectionSettings` of a proxy config. An absent field has the profile's value, or else the proxy's default. */
export interface ConnectionSettings {
  /** EDGE means Envoy's recommendations for gateways at the edge. It changes only gateways. */
  readonly profile: "SIDECAR" | "EDGE";
  readonly listenerBufferBytes?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  readonly maxConnectionMs?: number | undefined;
  readonly drainTimeoutMs?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly headTimeoutMs?: number | undefined;
  readonly streamIdleTimeoutMs?: number | undefined;
  readonly maxStreamMs?: number | undefined;
  readonly maxConcurrentStreams?: number | undefined;
  readonly streamWindowBytes?: number | undefined;
  readonly connectionWindowBytes?: number | undefined;
  readonly underscores?: ActionOf<typeof underscoreActions> | undefined;
  readonly mergeSlashes?: boolean | undefined;
  readonly escapedSlashes?: ActionOf<typeof slashActions> | undefined;
}

/** Fields that upstream's control plane does not apply either. */
const withoutEffect = [
  "clusterPerConnectionBufferLimitBytes",
  "listenerConnectionLimit",
  "globalDownstreamConnectionLimit",
] as const;

/**
 * Fields that only Envoy applies. Serin's own proxy has buffers and windows of a fixed size, and ends a drained
 * connection after its last request.
 */
const onlyEnvoy = [
  "listenerPerConnectionBufferLimitBytes",
  "httpDrainTimeout",
  "http2InitialStreamWindowSize",
  "http2InitialConnectionWindowSize",
] as const;

/** The smallest window of HTTP/2 that Envoy accepts. */
const minWindowBytes = 65_535;

export function readConnectionSettings(reader: Reader | undefined): ConnectionSettings | undefined {
  if (reader === undefined) return undefined;
  const settings = withoutUndefined({
    profile: reader.oneOf("profile", ["SIDECAR", "EDGE"]) ?? "SIDECAR",
    listenerBufferBytes: reader.integer("listenerPerConnectionBufferLimitBytes", 0, maxInt32),
    idleTimeoutMs: readDurationMs(reader, "httpIdleTimeout"),
    maxConnectionMs: readDurationMs(reader, "httpMaxConnectionDuration"),
    drainTimeoutMs: readDurationMs(reader, "httpDrainTimeout"),
    requestTimeoutMs: readDurationMs(reader, "httpRequestTimeout"),
    headTimeoutMs: readDurationMs(reader, "httpRequestHeadersTimeout"),
    streamIdleTimeoutMs: readDurationMs(reader, "httpStreamIdleTimeout"),
    maxStreamMs: readDurationMs(reader, "httpMaxStreamDuration"),
    maxConcurrentStreams: reader.integer("httpMaxConcurrentStreams", 1, maxInt32),
    streamWindowBytes: reader.integer("http2InitialStreamWindowSize", minWindowBytes, maxInt32),
    connectionWindowBytes: reader.integer("http2InitialConnectionWindowSize", minWindowBytes, maxInt32),
    underscores: readAction(reader, "httpHeadersWithUnderscoresAction", underscoreActions),
    mergeSlashes: reader.boolean("httpMergeSlashes"),
    escapedSlashes: readAction(reader, "httpPathWithEscapedSlashesAction", slashActions),
  });
  reader.integer("clusterPerConnectionBufferLimitBytes", 0, maxInt32);
  reader.integer("listenerConnectionLimit", 1, maxInt32);
  reader.integer("globalDownstreamConnectionLimit", 1, maxInt32);
  for (const field of withoutEffect) if (reader.has(field)) reader.warnNoEffect("has no effect here", field);
  for (const field of onlyEnvoy)
    if (reader.has(field)) reader.warnNoEffect("has an effect only in Envoy, not in Serin's own proxy", field);
  warnOfUnknown(reader);
  return settings;
}

function readAction<const Actions extends Readonly<Record<string, string | undefined>>>(
  reader: Reader,
  field: string,
  actions: Actions,
): Actions[keyof Actions] | undefined {
  const name = reader.oneOf(field, Object.keys(actions));
  return name === undefined ? undefined : actions[name as keyof Actions];
}

/** Removes undefined fields, so that a spread of the settings does not override the profile's values. */
function withoutUndefined(settings: ConnectionSettings): ConnectionSettings {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as unknown as ConnectionSettings;
}
