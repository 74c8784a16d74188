import type { Reader } from "../../reader.ts";
import { maxInt32, readDurationMs, warnOfUnknown } from "../fields.ts";

/** Limits for connections and requests to one destination. Absent means the proxy's default. */
export interface ConnectionPool {
  readonly tcp: TcpPool;
  readonly http: HttpPool;
}

export interface TcpPool {
  readonly maxConnections?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** 0 means that there is no timeout. */
  readonly idleTimeoutMs?: number | undefined;
  readonly maxConnectionDurationMs?: number | undefined;
  readonly tcpKeepalive?: TcpKeepalive | undefined;
}

export interface TcpKeepalive {
  readonly probes?: number | undefined;
  readonly timeMs?: number | undefined;
  readonly intervalMs?: number | undefined;
}

export interface HttpPool {
  readonly http1MaxPendingRequests?: number | undefined;
  readonly http2MaxRequests?: number | undefined;
  readonly maxRequestsPerConnection?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  readonly h2UpgradePolicy: "DEFAULT" | "DO_NOT_UPGRADE" | "UPGRADE";
  readonly useClientProtocol: boolean;
  readonly maxConcurrentStreams?: number | undefined;
  readonly http2KeepAlive?:
    | { readonly intervalMs?: number | undefined; readonly timeoutMs?: number | undefined }
    | undefined;
}

export function readConnectionPool(reader: Reader | undefined): ConnectionPool | undefined {
  if (reader === undefined) return undefined;
  if (!reader.has("tcp") && !reader.has("http")) reader.error("must have tcp or http settings");
  const pool = { tcp: readTcp(reader.object("tcp")), http: readHttp(reader.object("http")) };
  warnOfUnknown(reader);
  return pool;
}

function readTcp(reader: Reader | undefined): TcpPool {
  if (reader === undefined) return {};
  const pool: TcpPool = {
    maxConnections: limit(reader, "maxConnections"),
    connectTimeoutMs: readDurationMs(reader, "connectTimeout", 1),
    idleTimeoutMs: readDurationMs(reader, "idleTimeout"),
    maxConnectionDurationMs: readDurationMs(reader, "maxConnectionDuration", 1),
    tcpKeepalive: readKeepalive(reader),
  };
  warnOfUnknown(reader);
  return pool;
}

const msPerHour = 3_600_000;
/**
 * The maximum time and interval of a TCP keepalive. A longer one would not fit into the 32 bits in which proxies
 * receive the seconds.
 */
const maxKeepaliveMs = 1_000_000 * msPerHour;

export function readKeepalive(reader: Reader): TcpKeepalive | undefined {
  const keepalive = reader.object("tcpKeepalive");
  if (keepalive === undefined) return undefined;
  const found = {
    probes: limit(keepalive, "probes"),
    timeMs: readDurationMs(keepalive, "time", 1),
    intervalMs: readDurationMs(keepalive, "interval", 1),
  };
  for (const [field, ms] of [
    ["time", found.timeMs],
    ["interval", found.intervalMs],
  ] as const)
    if (ms !== undefined && ms > maxKeepaliveMs)
      keepalive.error(`must be at most ${maxKeepaliveMs / msPerHour}h`, field);
  warnOfUnknown(keepalive);
  return found;
}

function readHttp(reader: Reader | undefined): HttpPool {
  if (reader === undefined) return { h2UpgradePolicy: "DEFAULT", useClientProtocol: false };
  const keepAlive = reader.object("http2KeepAlive");
  const pool: HttpPool = {
    http1MaxPendingRequests: limit(reader, "http1MaxPendingRequests"),
    http2MaxRequests: limit(reader, "http2MaxRequests"),
    maxRequestsPerConnection: limit(reader, "maxRequestsPerConnection"),
    maxRetries: limit(reader, "maxRetries"),
    idleTimeoutMs: readDurationMs(reader, "idleTimeout", 1),
    h2UpgradePolicy: reader.oneOf("h2UpgradePolicy", ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]) ?? "DEFAULT",
    useClientProtocol: reader.boolean("useClientProtocol") ?? false,
    maxConcurrentStreams: limit(reader, "maxConcurrentStreams"),
    http2KeepAlive:
      keepAlive === undefined
        ? undefined
        : { intervalMs: readDurationMs(keepAlive, "interval", 1), timeoutMs: readDurationMs(keepAlive, "timeout", 1) },
  };
  for (const field of ["interval", "timeout"])
    if (keepAlive?.has(field) === false) keepAlive.error("is required", field);
  if (pool.h2UpgradePolicy === "UPGRADE" && pool.useClientProtocol)
    reader.error(
      "must not be true when h2UpgradePolicy is UPGRADE: the two ask for different protocols",
      "useClientProtocol",
    );
  warnOfUnknown(keepAlive);
  warnOfUnknown(reader);
  return pool;
}

/** Reads a limit. 0 counts as unset, as in protobuf. */
function limit(reader: Reader, field: string): number | undefined {
  return reader.integer(field, 0, maxInt32) || undefined;
}
