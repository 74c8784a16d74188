import type { Reader } from "../reader.ts";
import { readConnectionPool, type ConnectionPool } from "./connection-pool.ts";
import { readDurationMs, readPortNumber, readText, refuseUnknown, requireText, warnOfUnknown } from "./fields.ts";
import { readLoadBalancer, type LoadBalancer } from "./load-balancer.ts";

/** What holds for connections to a destination. A part that is absent is taken from the next wider policy. */
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
  readonly tunnel?: { readonly protocol: string; readonly targetHost: string; readonly targetPort: number } | undefined;
  readonly proxyProtocol?: { readonly version: "V1" | "V2" } | undefined;
  readonly retryBudget?: { readonly percent?: number | undefined; readonly minRetryConcurrency?: number | undefined; readonly budgetIntervalMs?: number | undefined } | undefined;
}

/** When an endpoint is left out for a while. 0 of a count turns that reason off; absent: the default. */
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

/** TLS towards a destination. Files are of the proxy; `credentialName` is a secret. */
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

export function readTrafficPolicy(reader: Reader | undefined): TrafficPolicy | undefined {
  if (reader === undefined) return undefined;
  const proxyProtocol = reader.object("proxyProtocol");
  const policy: TrafficPolicy = {
    ...readSettings(reader),
    portLevelSettings: reader.list("portLevelSettings").map(readPortPolicy),
    tunnel: readTunnel(reader.object("tunnel")),
    proxyProtocol: proxyProtocol === undefined ? undefined : { version: proxyProtocol.oneOf("version", ["V1", "V2"]) ?? "V1" },
    retryBudget: readRetryBudget(reader.object("retryBudget")),
  };
  warnOfUnknown(proxyProtocol);
  refuseUnknown(reader);
  return policy;
}

function readSettings(reader: Reader): TrafficPolicySettings {
  return {
    loadBalancer: readLoadBalancer(reader.object("loadBalancer")),
    connectionPool: readConnectionPool(reader.object("connectionPool")),
    outlierDetection: readOutlierDetection(reader.object("outlierDetection")),
    tls: readClientTls(reader.object("tls")),
  };
}

function readPortPolicy(reader: Reader): PortTrafficPolicy {
  const port = reader.required("port", reader.object("port"));
  const policy = { port: { number: port?.required("number", readPortNumber(port, "number")) ?? 0 }, ...readSettings(reader) };
  refuseUnknown(port);
  refuseUnknown(reader);
  return policy;
}

function readTunnel(reader: Reader | undefined): TrafficPolicy["tunnel"] {
  if (reader === undefined) return undefined;
  const tunnel = {
    protocol: readText(reader, "protocol") ?? "CONNECT",
    targetHost: requireText(reader, "targetHost"),
    targetPort: reader.required("targetPort", readPortNumber(reader, "targetPort")) ?? 0,
  };
  refuseUnknown(reader);
  return tunnel;
}

function readRetryBudget(reader: Reader | undefined): TrafficPolicy["retryBudget"] {
  if (reader === undefined) return undefined;
  const budget = { percent: reader.number("percent"), minRetryConcurrency: reader.integer("minRetryConcurrency", 0), budgetIntervalMs: readDurationMs(reader, "budgetInterval") };
  warnOfUnknown(reader);
  return budget;
}

function readOutlierDetection(reader: Reader | undefined): OutlierDetection | undefined {
  if (reader === undefined) return undefined;
  const legacy = reader.integer("consecutiveErrors", 0);
  if (legacy !== undefined) reader.warn("is deprecated and has no effect; use consecutiveGatewayErrors or consecutive5xxErrors", "consecutiveErrors");
  const detection: OutlierDetection = {
    consecutive5xxErrors: reader.integer("consecutive5xxErrors", 0),
    consecutiveGatewayErrors: reader.integer("consecutiveGatewayErrors", 0),
    consecutiveLocalOriginFailures: reader.integer("consecutiveLocalOriginFailures", 0),
    splitExternalLocalOriginErrors: reader.boolean("splitExternalLocalOriginErrors") ?? false,
    intervalMs: readDurationMs(reader, "interval", 1),
    baseEjectionTimeMs: readDurationMs(reader, "baseEjectionTime", 1),
    maxEjectionPercent: reader.integer("maxEjectionPercent", 0, allPercent) || undefined,
    minHealthPercent: reader.integer("minHealthPercent", 0, allPercent),
    outlierDetectionHttpErrorCodes: reader.list("outlierDetectionHttpErrorCodes").flatMap((code) => (typeof code.raw === "number" ? code.raw : [])),
  };
  warnOfUnknown(reader);
  return detection;
}

function readClientTls(reader: Reader | undefined): ClientTls | undefined {
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
  refuseUnknown(reader);
  return tls;
}
