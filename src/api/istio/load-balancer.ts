import type { Reader } from "../reader.ts";
import { readDurationMs, readText, refuseUnknown, requireText, warnOfUnknown } from "./fields.ts";

/** How an endpoint is chosen: `simple` or `consistentHash`, or neither (the default). */
export interface LoadBalancer {
  readonly simple?: SimpleLoadBalancer | undefined;
  readonly consistentHash?: ConsistentHash | undefined;
  readonly localityLbSetting?: LocalityLoadBalancer | undefined;
  readonly zoneAwareLbSetting?: ZoneAwareLoadBalancer | undefined;
  readonly warmup?: Warmup | undefined;
}

/** LEAST_CONN is read as LEAST_REQUEST, its name of today. */
export type SimpleLoadBalancer = "UNSPECIFIED" | "RANDOM" | "PASSTHROUGH" | "ROUND_ROBIN" | "LEAST_REQUEST";

export interface ConsistentHash {
  readonly hashKey: HashKey;
  readonly hashAlgorithm: { readonly kind: "ringHash"; readonly minimumRingSize?: number | undefined } | { readonly kind: "maglev"; readonly tableSize?: number | undefined };
}

export type HashKey =
  | { readonly kind: "httpHeaderName" | "httpQueryParameterName"; readonly name: string }
  | { readonly kind: "useSourceIp" }
  | {
      readonly kind: "httpCookie";
      readonly name: string;
      readonly path?: string | undefined;
      /** Absent: the cookie is only read; 0: of the session. */
      readonly ttlMs?: number | undefined;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    };

export interface LocalityLoadBalancer {
  /** Absent: as the mesh has it. */
  readonly enabled?: boolean | undefined;
  /** Localities are `region/zone/subzone`, with `*` at the end of a part's list; weights are percent. */
  readonly distribute: readonly { readonly from: string; readonly to: Readonly<Record<string, number>> }[];
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** Labels in order, `key` or `key=value`. */
  readonly failoverPriority: readonly string[];
}

export interface ZoneAwareLoadBalancer {
  readonly enabled?: boolean | undefined;
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  readonly failoverPriority: readonly string[];
  readonly minClusterSize?: number | undefined;
}

/** How an endpoint that is new gets its share bit by bit. */
export interface Warmup {
  readonly durationMs: number;
  readonly minimumPercent?: number | undefined;
  readonly aggression?: number | undefined;
}

const simpleWords = ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] as const;

export function readLoadBalancer(reader: Reader | undefined): LoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const simple = reader.oneOf("simple", simpleWords);
  if (reader.has("simple") && reader.has("consistentHash")) reader.error("must not be set beside simple", "consistentHash");
  const balancer: LoadBalancer = {
    simple: simple === "LEAST_CONN" ? "LEAST_REQUEST" : simple,
    consistentHash: readConsistentHash(reader.object("consistentHash")),
    localityLbSetting: readLocality(reader.object("localityLbSetting")),
    zoneAwareLbSetting: readZoneAware(reader.object("zoneAwareLbSetting")),
    warmup: readWarmup(reader),
  };
  warnOfUnknown(reader);
  return balancer;
}

function readConsistentHash(reader: Reader | undefined): ConsistentHash | undefined {
  if (reader === undefined) return undefined;
  const hashKey = readHashKey(reader);
  const ring = reader.object("ringHash");
  const maglev = reader.object("maglev");
  if (ring !== undefined && maglev !== undefined) reader.error("must not be set beside ringHash", "maglev");
  const legacySize = reader.integer("minimumRingSize", 0);
  const minimumRingSize = ring?.integer("minimumRingSize", 0) || legacySize || undefined;
  const tableSize = maglev?.integer("tableSize", 0) || undefined;
  warnOfUnknown(ring);
  warnOfUnknown(maglev);
  warnOfUnknown(reader);
  return { hashKey, hashAlgorithm: maglev === undefined ? { kind: "ringHash", minimumRingSize } : { kind: "maglev", tableSize } };
}

function readHashKey(reader: Reader): HashKey {
  const found: HashKey[] = [];
  const header = readText(reader, "httpHeaderName");
  const parameter = readText(reader, "httpQueryParameterName");
  const cookie = reader.object("httpCookie");
  if (header !== undefined) found.push({ kind: "httpHeaderName", name: header });
  if (parameter !== undefined) found.push({ kind: "httpQueryParameterName", name: parameter });
  if (cookie !== undefined) found.push(readCookie(cookie));
  if (reader.boolean("useSourceIp") === true) found.push({ kind: "useSourceIp" });
  if (found.length !== 1) reader.error(`must have exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName, got ${found.length}`);
  return found[0] ?? { kind: "useSourceIp" };
}

function readCookie(reader: Reader): HashKey {
  const attributes = reader.list("attributes").map((entry) => {
    const attribute = { name: requireText(entry, "name"), value: entry.string("value") ?? "" };
    warnOfUnknown(entry);
    return attribute;
  });
  const key: HashKey = { kind: "httpCookie", name: requireText(reader, "name"), path: readText(reader, "path"), ttlMs: readDurationMs(reader, "ttl"), attributes };
  warnOfUnknown(reader);
  return key;
}

function readLocality(reader: Reader | undefined): LocalityLoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const distribute = reader.list("distribute").map((entry) => {
    const rule = { from: requireText(entry, "from"), to: readWeights(entry.object("to")) };
    refuseUnknown(entry);
    return rule;
  });
  const setting = { enabled: reader.boolean("enabled"), distribute, failover: readFailover(reader), failoverPriority: reader.strings("failoverPriority") };
  refuseUnknown(reader);
  return setting;
}

function readWeights(reader: Reader | undefined): Readonly<Record<string, number>> {
  const weights: Record<string, number> = {};
  for (const locality of Object.keys((reader?.raw as object | undefined) ?? {})) weights[locality] = reader?.integer(locality, 0) ?? 0;
  return weights;
}

function readFailover(reader: Reader): LocalityLoadBalancer["failover"] {
  return reader.list("failover").map((entry) => {
    const rule = { from: requireText(entry, "from"), to: requireText(entry, "to") };
    refuseUnknown(entry);
    return rule;
  });
}

function readZoneAware(reader: Reader | undefined): ZoneAwareLoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const setting = {
    enabled: reader.boolean("enabled"),
    failover: readFailover(reader),
    failoverPriority: reader.strings("failoverPriority"),
    minClusterSize: reader.integer("minClusterSize", 1),
  };
  warnOfUnknown(reader);
  return setting;
}

/** `warmupDurationSecs` is the older form. */
function readWarmup(reader: Reader): Warmup | undefined {
  const nested = reader.object("warmup");
  const durationMs = readDurationMs(reader, "warmupDurationSecs", 1);
  if (nested === undefined) return durationMs === undefined ? undefined : { durationMs };
  const warmup: Warmup = {
    durationMs: nested.required("duration", readDurationMs(nested, "duration", 1)) ?? 0,
    minimumPercent: nested.number("minimumPercent"),
    aggression: nested.number("aggression"),
  };
  warnOfUnknown(nested);
  return warmup;
}

