import { truncated } from "../../../base/index.ts";
import { areRepeated, type Reader } from "../../reader.ts";
import { readDurationMs, readText, requireText, warnOfUnknown } from "../fields.ts";
import {
  checkText,
  cookieNameFault,
  hashedHeaderFault,
  isCookieName,
  isNoHeader,
  literalValueFault,
  maxShown,
} from "../expressions/http-headers.ts";
import {
  readLocality,
  readZoneAware,
  type LocalityLoadBalancer,
  type ZoneAwareLoadBalancer,
} from "./locality-load-balancer.ts";

export interface LoadBalancer {
  readonly simple?: SimpleLoadBalancer | undefined;
  readonly consistentHash?: ConsistentHash | undefined;
  readonly localityLbSetting?: LocalityLoadBalancer | undefined;
  readonly zoneAwareLbSetting?: ZoneAwareLoadBalancer | undefined;
  readonly warmup?: Warmup | undefined;
}

/** The parser converts LEAST_CONN to LEAST_REQUEST, its current name. */
export type SimpleLoadBalancer = "UNSPECIFIED" | "RANDOM" | "PASSTHROUGH" | "ROUND_ROBIN" | "LEAST_REQUEST";

export interface ConsistentHash {
  readonly hashKey: HashKey;
  readonly hashAlgorithm:
    | { readonly kind: "ringHash"; readonly minimumRingSize?: number | undefined }
    | { readonly kind: "maglev"; readonly tableSize?: number | undefined };
}

export type HashKey =
  | { readonly kind: "httpHeaderName" | "httpQueryParameterName"; readonly name: string }
  | { readonly kind: "useSourceIp" }
  | {
      readonly kind: "httpCookie";
      readonly name: string;
      readonly path?: string | undefined;
      /** Absent means that proxies read the cookie but never set it. 0 means a session cookie. */
      readonly ttlMs?: number | undefined;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    };

export interface Warmup {
  readonly durationMs: number;
  readonly minimumPercent?: number | undefined;
  readonly aggression?: number | undefined;
}

const allPercent = 100;
const maxTableSize = 5_000_011;
/**
 * The maximum size of a hash ring. A proxy rejects a cluster with a larger one. If a rule is exported, this affects
 * proxies of other namespaces too.
 */
const maxRingSize = 8_388_608;

function isPrime(value: number): boolean {
  if (value < 2) return false;
  for (let factor = 2; factor * factor <= value; factor += 1) if (value % factor === 0) return false;
  return true;
}

const simpleWords = ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] as const;

/**
 * Reads the load balancer. Reports failover settings if the policy has no outlier detection, because then nothing
 * triggers a failover.
 */
export function readLoadBalancer(reader: Reader | undefined, hasOutlierDetection: boolean): LoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const simple = reader.oneOf("simple", simpleWords);
  if (reader.has("localityLbSetting") && reader.has("zoneAwareLbSetting"))
    reader.error("cannot be combined with localityLbSetting", "zoneAwareLbSetting");
  if (reader.has("simple") && reader.has("consistentHash"))
    reader.error("cannot be combined with simple", "consistentHash");
  const balancer: LoadBalancer = {
    simple: simple === "LEAST_CONN" ? "LEAST_REQUEST" : simple,
    consistentHash: readConsistentHash(reader.object("consistentHash")),
    localityLbSetting: readLocality(reader.object("localityLbSetting"), hasOutlierDetection),
    zoneAwareLbSetting: readZoneAware(reader.object("zoneAwareLbSetting"), hasOutlierDetection),
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
  if (ring !== undefined && maglev !== undefined) reader.error("cannot be combined with ringHash", "maglev");
  const legacySize = reader.integer("minimumRingSize", 0, maxRingSize);
  if (legacySize !== undefined && legacySize !== 0) {
    if (ring !== undefined || maglev !== undefined)
      reader.error("cannot be combined with ringHash or maglev", "minimumRingSize");
    else reader.warnDeprecated("is deprecated; use ringHash.minimumRingSize", "minimumRingSize");
  }
  const minimumRingSize = ring?.integer("minimumRingSize", 0, maxRingSize) || legacySize || undefined;
  const tableSize = maglev?.integer("tableSize", 0);
  if (maglev !== undefined && (tableSize === undefined || tableSize >= maxTableSize || !isPrime(tableSize))) {
    maglev.error(`must be a prime number below ${maxTableSize}, got ${tableSize ?? "none"}`, "tableSize");
  }
  warnOfUnknown(ring);
  warnOfUnknown(maglev);
  warnOfUnknown(reader);
  return {
    hashKey,
    hashAlgorithm: maglev === undefined ? { kind: "ringHash", minimumRingSize } : { kind: "maglev", tableSize },
  };
}

function readHashKey(reader: Reader): HashKey {
  const found: HashKey[] = [];
  const header = readText(reader, "httpHeaderName");
  const parameter = readText(reader, "httpQueryParameterName");
  const cookie = reader.object("httpCookie");
  checkText(reader, "httpHeaderName", header, hashedHeaderFault);
  if (header !== undefined && isNoHeader(header))
    reader.warnNoEffect(
      `is the name of no header, got "${truncated(header, maxShown)}"; requests are distributed at random`,
      "httpHeaderName",
    );
  if (header !== undefined) found.push({ kind: "httpHeaderName", name: header });
  if (parameter !== undefined) found.push({ kind: "httpQueryParameterName", name: parameter });
  if (cookie !== undefined) found.push(readCookie(cookie));
  if (reader.boolean("useSourceIp") === true) found.push({ kind: "useSourceIp" });
  if (found.length !== 1)
    reader.error(
      `must have exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName, got ${found.length}`,
    );
  return found[0] ?? { kind: "useSourceIp" };
}

function readCookie(reader: Reader): HashKey & { readonly kind: "httpCookie" } {
  const attributes = reader.objects("attributes").map((entry) => {
    const attribute = { name: requireText(entry, "name"), value: entry.string("value") ?? "" };
    checkText(entry, "name", attribute.name, cookieNameFault);
    checkText(entry, "value", attribute.value, literalValueFault);
    warnOfUnknown(entry);
    return attribute;
  });
  const names = attributes.map(({ name }) => name);
  const repeated = areRepeated(names);
  for (const [index, name] of names.entries())
    if (repeated[index] === true) reader.error(`appears twice, got "${name}"; remove one`, `attributes[${index}].name`);
  const key = {
    kind: "httpCookie" as const,
    name: requireText(reader, "name"),
    path: readText(reader, "path"),
    ttlMs: readDurationMs(reader, "ttl"),
    attributes,
  };
  checkText(reader, "name", key.name, cookieNameFault);
  if (!isCookieName(key.name))
    reader.warn(
      `should be letters, digits and signs without blanks and separators, got "${truncated(key.name, maxShown)}"; clients may not send such a cookie back`,
      "name",
    );
  checkText(reader, "path", key.path, literalValueFault);
  warnOfUnknown(reader);
  return key;
}

/** Reads `warmup`, or its deprecated form `warmupDurationSecs`. */
function readWarmup(reader: Reader): Warmup | undefined {
  const nested = reader.object("warmup");
  const durationMs = readDurationMs(reader, "warmupDurationSecs", 1);
  if (nested === undefined) return durationMs === undefined ? undefined : { durationMs };
  const warmup: Warmup = {
    durationMs: nested.required("duration", readDurationMs(nested, "duration", 1)) ?? 0,
    minimumPercent: nested.number("minimumPercent"),
    aggression: nested.number("aggression"),
  };
  const { minimumPercent = 0, aggression } = warmup;
  if (minimumPercent < 0 || minimumPercent > allPercent)
    nested.error(`must be from 0 to 100, got ${minimumPercent}`, "minimumPercent");
  if (aggression !== undefined && aggression <= 0) nested.error(`must be above 0, got ${aggression}`, "aggression");
  warnOfUnknown(nested);
  return warmup;
}
