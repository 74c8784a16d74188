import type { Reader } from "../../reader.ts";
import { domainOrAddressFault } from "../checks.ts";
import { copiedLength } from "../proxy-limits.ts";
import { readConnectionPool, type ConnectionPool } from "./connection-pool.ts";
import {
  maxUint32,
  readDurationMs,
  readPortNumber,
  readText,
  refuseUnknown,
  requireText,
  warnOfUnknown,
} from "../fields.ts";
import { readLoadBalancer, type LoadBalancer } from "./load-balancer.ts";

/** Settings for connections to a destination. An absent part is inherited from the next wider policy. */
export interface TrafficPolicySettings {
  readonly loadBalancer?: LoadBalancer | undefined;
  readonly connectionPool?: ConnectionPool | undefined;
  readonly outlierDetection?: OutlierDetection | undefined;
  readonly tls?: ClientTls | undefined;
}

export interface PortTrafficPolicy extends TrafficPolicySettings {
  readonly port: { readonly number: number };
}

export interface TrafficPolicy extends TrafficPolicySettings {
  readonly portLevelSettings: readonly PortTrafficPolicy[];
  readonly tunnel?:
    | { readonly protocol: "CONNECT" | "POST"; readonly targetHost: string; readonly targetPort: number }
    | undefined;
  readonly proxyProtocol?: { readonly version: "V1" | "V2" } | undefined;
  readonly retryBudget?:
    | {
        readonly percent?: number | undefined;
        readonly minRetryConcurrency?: number | undefined;
        readonly budgetIntervalMs?: number | undefined;
      }
    | undefined;
}

/** When to eject an endpoint for some time. A count of 0 disables its condition. Absent means the default. */
export interface OutlierDetection {
  readonly consecutive5xxErrors?: number | undefined;
  readonly consecutiveGatewayErrors?: number | undefined;
  readonly consecutiveLocalOriginFailures?: number | undefined;
  readonly splitExternalLocalOriginErrors: boolean;
  readonly intervalMs?: number | undefined;
  readonly baseEjectionTimeMs?: number | undefined;
  readonly maxEjectionPercent?: number | undefined;
  readonly minHealthPercent?: number | undefined;
  readonly outlierDetectionHttpErrorCodes: readonly number[];
}

/** TLS towards a destination. Files are in the proxy's file system, and `credentialName` is a Secret. */
export interface ClientTls {
  readonly mode: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
  readonly clientCertificate?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly caCertificates?: string | undefined;
  readonly caCrl?: string | undefined;
  readonly credentialName?: string | undefined;
  readonly subjectAltNames: readonly string[];
  readonly sni?: string | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
}

const allPercent = 100;
const configMapPrefix = "configmap://";

const settingFields = ["loadBalancer", "connectionPool", "outlierDetection", "tls"] as const;
const policyFields = [...settingFields, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget"] as const;

/**
 * The maximum length of one policy as JSON, without its settings for single ports. Each cluster of a host repeats the
 * policy, and a host may have thousands of clusters.
 */
const maxPolicyLength = 16_384;

function checkLength(reader: Reader): void {
  const length = copiedLength(reader.raw, "portLevelSettings");
  if (length > maxPolicyLength)
    reader.error(
      `has ${length} characters, and at most ${maxPolicyLength} are allowed, because each cluster of the host repeats them; write fewer subjectAltNames or localities`,
    );
}

/** `namespace` is the object's namespace. `configmap://` credentials must be in the same namespace. */
export function readTrafficPolicy(reader: Reader | undefined, namespace: string): TrafficPolicy | undefined {
  if (reader === undefined) return undefined;
  if (!policyFields.some((field) => reader.has(field)))
    reader.error(`must have at least one of ${policyFields.join(", ")}`);
  if (reader.has("tunnel") && reader.has("proxyProtocol"))
    reader.error("cannot be combined with tunnel", "proxyProtocol");
  checkLength(reader);
  const proxyProtocol = reader.object("proxyProtocol");
  const policy: TrafficPolicy = {
    ...readSettings(reader, namespace),
    portLevelSettings: reader.objects("portLevelSettings").map((entry) => readPortPolicy(entry, namespace)),
    tunnel: readTunnel(reader.object("tunnel")),
    proxyProtocol:
      proxyProtocol === undefined ? undefined : { version: proxyProtocol.oneOf("version", ["V1", "V2"]) ?? "V1" },
    retryBudget: readRetryBudget(reader.object("retryBudget")),
  };
  warnOfUnknown(proxyProtocol);
  refuseUnknown(reader);
  return policy;
}

function readSettings(reader: Reader, namespace: string): TrafficPolicySettings {
  return {
    loadBalancer: readLoadBalancer(reader.object("loadBalancer"), reader.has("outlierDetection")),
    connectionPool: readConnectionPool(reader.object("connectionPool")),
    outlierDetection: readOutlierDetection(reader.object("outlierDetection")),
    tls: readClientTls(reader.object("tls"), namespace),
  };
}

function readPortPolicy(reader: Reader, namespace: string): PortTrafficPolicy {
  if (!settingFields.some((field) => reader.has(field)))
    reader.error(`must have at least one of ${settingFields.join(", ")}`);
  checkLength(reader);
  const port = reader.required("port", reader.object("port"));
  const policy = {
    port: { number: port?.required("number", readPortNumber(port, "number")) ?? 0 },
    ...readSettings(reader, namespace),
  };
  refuseUnknown(port);
  refuseUnknown(reader);
  return policy;
}

function readTunnel(reader: Reader | undefined): TrafficPolicy["tunnel"] {
  if (reader === undefined) return undefined;
  const tunnel = {
    protocol: reader.oneOf("protocol", ["CONNECT", "POST"]) ?? "CONNECT",
    targetHost: requireText(reader, "targetHost"),
    targetPort: reader.required("targetPort", readPortNumber(reader, "targetPort")) ?? 0,
  };
  const fault = tunnel.targetHost === "" ? undefined : domainOrAddressFault(tunnel.targetHost);
  if (fault !== undefined) reader.error(fault, "targetHost");
  refuseUnknown(reader);
  return tunnel;
}

function readRetryBudget(reader: Reader | undefined): TrafficPolicy["retryBudget"] {
  if (reader === undefined) return undefined;
  const percent = reader.number("percent");
  if (percent !== undefined && (percent < 0 || percent > allPercent))
    reader.error(`must be from 0 to 100, got ${percent}`, "percent");
  const budget = {
    percent,
    minRetryConcurrency: reader.integer("minRetryConcurrency", 0, maxUint32),
    budgetIntervalMs: readDurationMs(reader, "budgetInterval"),
  };
  warnOfUnknown(reader);
  return budget;
}

export function readOutlierDetection(reader: Reader | undefined): OutlierDetection | undefined {
  if (reader === undefined) return undefined;
  const legacy = reader.integer("consecutiveErrors", 0, maxUint32);
  if (legacy !== undefined)
    reader.warn(
      "is deprecated and has no effect; use consecutiveGatewayErrors or consecutive5xxErrors",
      "consecutiveErrors",
      "deprecated-no-effect",
    );
  const detection: OutlierDetection = {
    consecutive5xxErrors: reader.integer("consecutive5xxErrors", 0, maxUint32),
    consecutiveGatewayErrors: reader.integer("consecutiveGatewayErrors", 0, maxUint32),
    consecutiveLocalOriginFailures: reader.integer("consecutiveLocalOriginFailures", 0, maxUint32),
    splitExternalLocalOriginErrors: reader.boolean("splitExternalLocalOriginErrors") ?? false,
    intervalMs: readDurationMs(reader, "interval", 1),
    baseEjectionTimeMs: readDurationMs(reader, "baseEjectionTime", 1),
    maxEjectionPercent: reader.integer("maxEjectionPercent", 0, allPercent) || undefined,
    minHealthPercent: reader.integer("minHealthPercent", 0, allPercent),
    outlierDetectionHttpErrorCodes: readErrorCodes(reader),
  };
  if (!detection.splitExternalLocalOriginErrors && (detection.consecutiveLocalOriginFailures ?? 0) > 0) {
    reader.error("needs splitExternalLocalOriginErrors to be true", "consecutiveLocalOriginFailures");
  }
  warnOfUnknown(reader);
  return detection;
}

function readErrorCodes(reader: Reader): readonly number[] {
  if (reader.has("outlierDetectionHttpErrorCodes"))
    reader.warnNoEffect(
      "has no effect here, nor in other proxies; use consecutive5xxErrors",
      "outlierDetectionHttpErrorCodes",
    );
  return reader.list("outlierDetectionHttpErrorCodes").flatMap((code) => {
    if (typeof code.raw === "number" && Number.isInteger(code.raw) && code.raw >= 100 && code.raw <= 599)
      return code.raw;
    code.error("must be a status code from 100 to 599");
    return [];
  });
}

export function readClientTls(reader: Reader | undefined, namespace: string): ClientTls | undefined {
  if (reader === undefined) return undefined;
  const tls: ClientTls = {
    mode: reader.oneOf("mode", ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]) ?? "DISABLE",
    clientCertificate: readText(reader, "clientCertificate"),
    privateKey: readText(reader, "privateKey"),
    caCertificates: readText(reader, "caCertificates"),
    caCrl: readText(reader, "caCrl"),
    credentialName: readText(reader, "credentialName"),
    subjectAltNames: reader.strings("subjectAltNames"),
    sni: readText(reader, "sni"),
    insecureSkipVerify: reader.boolean("insecureSkipVerify"),
  };
  checkClientTls(reader, tls, namespace);
  refuseUnknown(reader);
  return tls;
}

function checkClientTls(reader: Reader, tls: ClientTls, namespace: string): void {
  const isOwn = tls.mode === "SIMPLE" || tls.mode === "MUTUAL";
  checkCredential(reader, tls.credentialName, namespace);
  if (tls.insecureSkipVerify === true && isOwn) {
    const forbidden =
      tls.mode === "SIMPLE"
        ? ["caCertificates", "credentialName", "subjectAltNames"]
        : ["caCertificates", "subjectAltNames"];
    for (const field of forbidden)
      if (reader.has(field)) reader.error("cannot be combined with insecureSkipVerify, which checks nothing", field);
  }
  if (isOwn && tls.credentialName !== undefined) {
    for (const field of ["clientCertificate", "caCertificates", "privateKey", "caCrl"] as const) {
      if (tls[field] !== undefined) reader.error("cannot be combined with credentialName, which contains it", field);
    }
  } else if (tls.mode === "MUTUAL") {
    for (const field of ["clientCertificate", "privateKey"] as const)
      if (tls[field] === undefined)
        reader.error("is required when the mode is MUTUAL, unless there is a credentialName", field);
  }
}

/** Checks a credential in a ConfigMap, `configmap://[namespace/]name`. It must be in the rule's own namespace. */
function checkCredential(reader: Reader, name: string | undefined, namespace: string): void {
  if (name?.startsWith(configMapPrefix) !== true) return;
  const parts = name.slice(configMapPrefix.length).split("/");
  if (parts.length > 2 || parts.includes(""))
    reader.error(`must be ${configMapPrefix}namespace/name, got "${name}"`, "credentialName");
  else if (parts.length === 2 && parts[0] !== namespace)
    reader.error(`must be in the namespace of the rule ("${namespace}"), got "${name}"`, "credentialName");
}
