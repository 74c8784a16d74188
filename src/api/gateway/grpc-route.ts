import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { checkRegex } from "../istio/expressions/regular-expressions.ts";
import { readHeaderMatches, type NamedMatch } from "./http-route.ts";
import {
  checkHostname,
  gatewayGroup,
  readParentReference,
  readWeightedReference,
  warnOfUnknown,
  warnOfUnused,
  type ParentReference,
  type RouteParentStatus,
  type WeightedBackendReference,
} from "./references.ts";
import { readFilters, type HttpRouteFilter } from "./route-filters.ts";

export interface GrpcRoute extends KubernetesObject {
  spec: { parentRefs: ParentReference[]; hostnames: string[]; rules: GrpcRouteRule[] };
  status?: { parents?: RouteParentStatus[] };
}

export interface GrpcRouteRule {
  name?: string | undefined;
  /** Empty matches all requests. */
  matches: GrpcRouteMatch[];
  filters: GrpcRouteFilter[];
  backendRefs: GrpcBackendRef[];
}

export interface GrpcRouteMatch {
  /** At least one of service and method is set. */
  method?:
    | { type: "Exact" | "RegularExpression"; service?: string | undefined; method?: string | undefined }
    | undefined;
  headers: NamedMatch[];
}

export type GrpcRouteFilter = Extract<
  HttpRouteFilter,
  { type: "RequestHeaderModifier" | "ResponseHeaderModifier" | "RequestMirror" | "ExtensionRef" }
>;

export interface GrpcBackendRef extends WeightedBackendReference {
  filters: GrpcRouteFilter[];
}

const filterTypes: readonly string[] = [
  "RequestHeaderModifier",
  "ResponseHeaderModifier",
  "RequestMirror",
  "ExtensionRef",
];

function parseGrpcRoute(raw: unknown): Parsed<GrpcRoute> {
  const object = new Reader(raw);
  const reader = object.object("spec") ?? object.empty("spec");
  const hostnames = [...reader.strings("hostnames")];
  for (const [index, hostname] of hostnames.entries())
    checkHostname(hostname, (message) => reader.error(message, `hostnames[${index}]`));
  const spec = {
    parentRefs: reader.objects("parentRefs").map(readParentReference),
    hostnames,
    rules: reader.objects("rules").map(readRule),
  };
  warnOfUnused(reader, "useDefaultGateways");
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as GrpcRoute), spec }));
}

function readRule(reader: Reader): GrpcRouteRule {
  const rule = {
    name: reader.string("name"),
    matches: reader.objects("matches").map(readMatch),
    filters: readGrpcFilters(reader),
    backendRefs: reader.objects("backendRefs").map(readBackendRef),
  };
  warnOfUnused(reader, "sessionPersistence");
  warnOfUnknown(reader);
  return rule;
}

function readMatch(reader: Reader): GrpcRouteMatch {
  const match = { method: readMethod(reader.object("method")), headers: readHeaderMatches(reader) };
  warnOfUnknown(reader);
  return match;
}

function readMethod(reader: Reader | undefined): GrpcRouteMatch["method"] {
  if (reader === undefined) return undefined;
  const type = reader.oneOf("type", ["Exact", "RegularExpression"]) ?? "Exact";
  const method = { type, service: reader.string("service"), method: reader.string("method") };
  if (method.service === undefined && method.method === undefined) reader.error("must have a service or a method");
  if (type === "RegularExpression") {
    for (const field of ["service", "method"] as const)
      if (method[field] !== undefined) checkRegex(reader, field, method[field]);
  } else {
    if (method.service !== undefined && !/^\.?[a-z_]\w*(\.[a-z_]\w*)*$/i.test(method.service))
      reader.error(`must be a full gRPC service name, got "${method.service}"`, "service");
    if (method.method !== undefined && !/^[A-Za-z_]\w*$/.test(method.method))
      reader.error(`must be a gRPC method name, got "${method.method}"`, "method");
  }
  warnOfUnknown(reader);
  return method;
}

function readBackendRef(reader: Reader): GrpcBackendRef {
  const backend = { ...readWeightedReference(reader), filters: readGrpcFilters(reader) };
  warnOfUnknown(reader);
  return backend;
}

/** Drops HTTPRoute's filters that change paths, because a gRPC path names a method. */
function readGrpcFilters(reader: Reader): GrpcRouteFilter[] {
  return readFilters(reader).filter((filter): filter is GrpcRouteFilter => {
    const isKnown = filterTypes.includes(filter.type);
    if (!isKnown) reader.error(`must be one of ${filterTypes.join(", ")}, got ${filter.type}`, "filters");
    return isKnown;
  });
}

export const grpcRouteKind = defineKind<GrpcRoute>({
  group: gatewayGroup,
  versions: ["v1"],
  kind: "GRPCRoute",
  plural: "grpcroutes",
  namespaced: true,
  parse: parseGrpcRoute,
});
