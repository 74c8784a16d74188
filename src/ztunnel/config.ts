import { resolve } from "node:path";
import { envBoolean, envPort, envString, envWhole, ownField, userError, type Environment } from "../base/index.ts";
import { readCompliancePolicy } from "../base/compliance/index.ts";
import { workerCount, type MachineBounds, type WorkerCount } from "../base/worker-count/index.ts";
import { hboneLimits, type HandshakeRules } from "../dataplane/tunnels/index.ts";
import type { TcpKeepalive } from "../net/index.ts";
import type { WorkloadInfo } from "./state/model.ts";

/** A ztunnel's configuration from the environment, under upstream's names. */
export interface ZtunnelConfig {
  readonly version: string;
  readonly revision: string;
  readonly proxyArgs: string;
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly instanceIp: string;
  readonly serviceAccount: string;
  readonly clusterId: string;
  readonly network: string;
  readonly clusterDomain: string;
  /** The address of the control plane. Empty if no control plane is configured. */
  readonly xdsAddress: string;
  readonly xdsRootCertificate: string;
  readonly localXdsPath: string;
  /** The address of the CA. Empty if a fake CA signs. */
  readonly caAddress: string;
  readonly caRootCertificate: string;
  readonly fakeCa: boolean;
  /** File with the revocation lists that peers' certificates are checked against. Undefined means no check. */
  readonly revocationsFile: string | undefined;
  /** The settings of COMPLIANCE_POLICY and TLS12_ENABLED. */
  readonly handshakes: Pick<HandshakeRules, "compliance" | "allowsTls12">;
  readonly tokenFile: string;
  readonly secretTtlSeconds: number;
  /** `shared` serves the pods that ZDS names. `dedicated` serves only its own network namespace. */
  readonly proxyMode: "shared" | "dedicated";
  readonly dedicatedWorkload: WorkloadInfo | undefined;
  /** The ztunnel's own pod. It is undefined in dedicated mode, or if the environment does not name the pod. */
  readonly ownWorkload: WorkloadInfo | undefined;
  readonly zdsPath: string;
  readonly mark: number;
  /**
   * TCP keepalive of accepted connections and of outgoing plain TCP connections. Outgoing HBONE connections send HTTP/2
   * PINGs instead. Undefined means no probes.
   */
  readonly keepalive: TcpKeepalive | undefined;
  readonly terminationGraceMs: number;
  readonly ports: {
    readonly admin: number;
    readonly stats: number;
    readonly readiness: number;
    readonly outbound: number;
    readonly inboundPlaintext: number;
    readonly hbone: number;
    readonly dns: number;
  };
  /** ISTIO_META_* and ISTIO_VERSION: the node's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The format of access logs (SERIN_LOG_FORMAT, Serin's own variable): `2022` is the format of the ztunnel of 2022,
   * `current` is today's format.
   */
  readonly logFormat: "2022" | "current";
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error";
  readonly workerThreads: number;
  /** The maximum number of connections in each serving thread. */
  readonly maxConnectionsPerThread: number;
}

/**
 * The number of descriptors to reserve for each connection: one for each of its two ends, and a share of the
 * descriptors for tunnels, the control plane, logs and pods' sockets.
 */
const descriptorsPerConnection = 2.2;

const defaultControlPlane = "https://istiod.istio-system.svc:15012";
const defaultRoot = "./var/run/secrets/istio/root-cert.pem";
const defaultToken = "./var/run/secrets/tokens/istio-token";

const workersName = "ZTUNNEL_WORKER_THREADS";

/**
 * Reads ZTUNNEL_WORKER_THREADS in upstream's forms: a number, or a percentage of ZTUNNEL_CPU_LIMIT, rounded up. The
 * default of ZTUNNEL_CPU_LIMIT is the number of cores. Without ZTUNNEL_WORKER_THREADS, one thread serves. 0 means one
 * thread for each core, although upstream refuses to start with 0.
 */
export function readWorkerThreads(env: Environment, machine: MachineBounds): WorkerCount {
  const raw = envString(env, workersName, "").trim();
  const cpuLimit = Number(envString(env, "ZTUNNEL_CPU_LIMIT", "0"));
  if (!raw.endsWith("%"))
    return workerCount({ setting: workersName, value: raw === "" ? undefined : raw, cpuLimit }, machine);
  const percent = /^\d+(?:\.\d+)?%$/.test(raw) ? Number(raw.slice(0, -1)) : 0;
  if (percent <= 0 || percent > 100)
    return {
      count: 1,
      warning: `${workersName} must be a whole number, or a percentage above 0 and up to 100, got ${JSON.stringify(raw)}: one worker serves`,
    };
  const cpus = Number.isInteger(cpuLimit) && cpuLimit > 0 ? cpuLimit : machine.cores;
  return workerCount({ setting: workersName, value: Math.ceil((cpus * percent) / 100) }, machine);
}

/**
 * Reads the configuration. Throws a user error that names the variable if a value is invalid. An unknown log level or
 * log format does not throw, and the default applies.
 */
export function readConfig(
  env: Environment,
  version: string,
  args: readonly string[],
  workerThreads = 1,
  maxDescriptors = Infinity,
): ZtunnelConfig {
  const fakeCa = envBoolean(env, "FAKE_CA", false);
  const localXdsPath = envString(env, "LOCAL_XDS_PATH", "");
  const proxyMode = envString(env, "PROXY_MODE", "shared").toLowerCase();
  if (proxyMode !== "shared" && proxyMode !== "dedicated")
    throw userError("env-invalid", `PROXY_MODE must be shared or dedicated, got "${proxyMode}"`);
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith("ISTIO_META_") && value !== undefined) metadata[name.slice("ISTIO_META_".length)] = value;
  }
  metadata["ISTIO_VERSION"] = version;
  return {
    version,
    revision: envString(env, "REVISION", envString(env, "ISTIO_META_REVISION", "")),
    proxyArgs: ["proxy", "ztunnel", ...args.filter((arg) => arg !== "proxy" && arg !== "ztunnel")].join(" "),
    nodeName: envString(env, "NODE_NAME", ""),
    podName: envString(env, "POD_NAME", "ztunnel"),
    podNamespace: envString(env, "POD_NAMESPACE", "istio-system"),
    instanceIp: envString(env, "INSTANCE_IP", "127.0.0.1"),
    serviceAccount: envString(env, "SERVICE_ACCOUNT", "ztunnel"),
    clusterId: envString(env, "CLUSTER_ID", envString(env, "ISTIO_META_CLUSTER_ID", "Kubernetes")),
    network: envString(env, "NETWORK", envString(env, "ISTIO_META_NETWORK", "")),
    clusterDomain: envString(env, "CLUSTER_DOMAIN", "cluster.local"),
    xdsAddress: envString(env, "XDS_ADDRESS", localXdsPath === "" ? defaultControlPlane : ""),
    xdsRootCertificate: envString(env, "XDS_ROOT_CA", defaultRoot),
    localXdsPath,
    caAddress: fakeCa ? "" : envString(env, "CA_ADDRESS", envString(env, "XDS_ADDRESS", defaultControlPlane)),
    caRootCertificate: envString(env, "CA_ROOT_CA", defaultRoot),
    revocationsFile: envString(env, "CRL_PATH", "") || undefined,
    fakeCa,
    handshakes: {
      compliance: readCompliancePolicy(env),
      allowsTls12: envBoolean(env, "TLS12_ENABLED", false),
    },
    tokenFile: envString(env, "AUTH_TOKEN", defaultToken),
    secretTtlSeconds: seconds(env, "SECRET_TTL", 86_400),
    proxyMode,
    dedicatedWorkload: proxyMode === "dedicated" ? dedicatedWorkload(env) : undefined,
    ownWorkload: proxyMode === "shared" ? ownWorkload(env) : undefined,
    zdsPath: envString(env, "INPOD_UDS", "/var/run/ztunnel/ztunnel.sock"),
    mark: envWhole(env, "PACKET_MARK", 0x539),
    keepalive: envBoolean(env, "KEEPALIVE_ENABLED", true) ? keepalive(env) : undefined,
    terminationGraceMs: seconds(env, "CONNECTION_TERMINATION_DEADLINE", 5) * 1000,
    ports: {
      admin: envPort(env, "ADMIN_PORT", 15_000),
      stats: envPort(env, "STATS_PORT", 15_020),
      readiness: envPort(env, "READINESS_PORT", 15_021),
      outbound: 15_001,
      inboundPlaintext: 15_006,
      hbone: 15_008,
      dns: 15_053,
    },
    metadata,
    logFormat: envString(env, "SERIN_LOG_FORMAT", "") === "2022" ? "2022" : "current",
    logLevel: logLevel(env),
    workerThreads,
    maxConnectionsPerThread: Math.floor(maxDescriptors / descriptorsPerConnection / workerThreads),
  };
}

/** Returns an absolute path. Upstream's paths begin with `./`, which stands for the root of the file system. */
export function absolutePath(path: string): string {
  return path.startsWith("./") ? resolve("/", path) : resolve(path);
}

function ownWorkload(env: Environment): WorkloadInfo | undefined {
  const [namespace, name, serviceAccount] = ["POD_NAMESPACE", "POD_NAME", "SERVICE_ACCOUNT"].map((variable) =>
    envString(env, variable, ""),
  );
  return namespace && name && serviceAccount ? { namespace, name, serviceAccount } : undefined;
}

/** Reads PROXY_WORKLOAD_INFO in upstream's form `namespace/name/service-account`. */
function dedicatedWorkload(env: Environment): WorkloadInfo {
  const [namespace = "", name = "", serviceAccount = ""] = envString(env, "PROXY_WORKLOAD_INFO", "").split("/");
  if (namespace === "" || name === "" || serviceAccount === "") {
    throw userError("env-invalid", "PROXY_WORKLOAD_INFO must be namespace/name/service-account in dedicated mode", {
      hint: "set it to the pod that this ztunnel serves, or use PROXY_MODE=shared",
    });
  }
  return { namespace, name, serviceAccount };
}

/**
 * Reads the keepalive settings. With upstream's defaults, a connection ends when its peer is silent for half an hour.
 */
function keepalive(env: Environment): TcpKeepalive {
  const timeSeconds = seconds(env, "KEEPALIVE_TIME", 180);
  const intervalSeconds = seconds(env, "KEEPALIVE_INTERVAL", 180);
  const probes = envWhole(env, "KEEPALIVE_RETRIES", 9);
  const hasUserTimeout = envBoolean(env, "USER_TIMEOUT_ENABLED", false);
  return {
    timeSeconds,
    intervalSeconds,
    probes,
    ...(hasUserTimeout ? { userTimeoutSeconds: timeSeconds + probes * intervalSeconds } : {}),
  };
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads a duration in seconds: `30s`, `5m`, `24h`, or a bare number of seconds. */
function seconds(env: Environment, name: string, fallback: number): number {
  const value = envString(env, name, "");
  if (value === "") return fallback;
  const match = /^(\d+(?:\.\d+)?)([smhd])?$/.exec(value);
  const unit = units[match?.[2] ?? "s"];
  if (match === null || unit === undefined)
    throw userError("env-invalid", `${name} must be a duration such as 30s, 5m or 24h, got "${value}"`);
  return Number(match[1]) * unit;
}

const levels: Readonly<Record<string, ZtunnelConfig["logLevel"]>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  off: "error",
};

function logLevel(env: Environment): ZtunnelConfig["logLevel"] {
  return ownField(levels, levelWord(env) ?? "") ?? "info";
}

/**
 * Returns the first word of RUST_LOG or LOG_LEVEL without a target, which sets the level of all targets. Upstream's
 * RUST_LOG may name targets (`info,access=debug`).
 */
function levelWord(env: Environment): string | undefined {
  const words = envString(env, "RUST_LOG", envString(env, "LOG_LEVEL", "info"))
    .toLowerCase()
    .split(",");
  return words.map((word) => word.trim()).find((word) => !word.includes("="));
}

/**
 * Returns a warning if the log level does not exist. This is not an error, because upstream reads such a word as the
 * name of a target.
 */
export function logLevelWarning(env: Environment): string | undefined {
  const word = levelWord(env);
  if (word === undefined || ownField(levels, word) !== undefined) return undefined;
  const name = envString(env, "RUST_LOG", "") === "" ? "LOG_LEVEL" : "RUST_LOG";
  return `${name} must be one of ${Object.keys(levels).join(", ")}, got ${JSON.stringify(word)}: info applies`;
}

/** The configuration as YAML, with the keys that upstream logs at its start. */
export function describeConfig(config: ZtunnelConfig): string {
  const { ports } = config;
  const file = (path: string) => `!File ${path}`;
  const lines: readonly (readonly [string, string])[] = [
    ["window_size", String(hboneLimits.streamWindowBytes)],
    ["connection_window_size", String(hboneLimits.connectionWindowBytes)],
    ["frame_size", String(hboneLimits.maxFrameBytes)],
    ["pool_max_streams_per_conn", String(hboneLimits.pooledStreams)],
    ["socks5_addr", "null"],
    ["admin_addr", `127.0.0.1:${ports.admin}`],
    ["stats_addr", `'[::]:${ports.stats}'`],
    ["readiness_addr", `'[::]:${ports.readiness}'`],
    ["inbound_addr", `'[::]:${ports.hbone}'`],
    ["inbound_plaintext_addr", `'[::]:${ports.inboundPlaintext}'`],
    ["outbound_addr", `'[::]:${ports.outbound}'`],
    ["dns_proxy_addr", `127.0.0.1:${ports.dns}`],
    ["network", config.network === "" ? "''" : config.network],
    ["local_node", config.nodeName === "" ? "null" : config.nodeName],
    ["local_ip", config.instanceIp],
    ["proxy_mode", config.proxyMode === "shared" ? "Shared" : "Dedicated"],
    ["cluster_id", config.clusterId],
    ["cluster_domain", config.clusterDomain],
    ["ca_address", config.caAddress === "" ? "null" : config.caAddress],
    ["ca_root_cert", file(config.caRootCertificate)],
    ["xds_address", config.xdsAddress === "" ? "null" : config.xdsAddress],
    ["xds_root_cert", file(config.xdsRootCertificate)],
    ["xds_on_demand", "false"],
    ["fake_ca", String(config.fakeCa)],
    ["termination_grace_period", `\n  secs: ${Math.floor(config.terminationGraceMs / 1000)}\n  nanos: 0`],
    [
      "proxy_metadata",
      Object.entries(config.metadata)
        .map(([key, value]) => `\n  ${key}: ${scalar(value)}`)
        .join(""),
    ],
    ["num_worker_threads", String(config.workerThreads)],
    ["enable_original_source", "null"],
    ["proxy_args", config.proxyArgs],
    ["inpod_uds", config.zdsPath],
    ["packet_mark", String(config.mark)],
  ];
  return lines.map(([key, value]) => `${key}:${value.startsWith("\n") ? "" : " "}${value}`).join("\n");
}

/** Returns a YAML scalar. It has no quotes if YAML reads the bare text as the same string. */
function scalar(value: string): string {
  const bare = /^[A-Za-z_][\w./-]*$/.test(value) || /^\d+(?:\.\d+){2,}[\w.-]*$/.test(value);
  return bare && !/^(?:true|false|null|yes|no|on|off)$/i.test(value) ? value : JSON.stringify(value);
}
