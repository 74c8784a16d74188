import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
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

export interface L4RouteRule {
  name?: string | undefined;
  backendRefs: WeightedBackendReference[];
}

export interface TlsRoute extends KubernetesObject {
  spec: { parentRefs: ParentReference[]; hostnames: string[]; rules: L4RouteRule[] };
  status?: { parents?: RouteParentStatus[] };
}

export interface TcpRoute extends KubernetesObject {
  spec: { parentRefs: ParentReference[]; rules: L4RouteRule[] };
  status?: { parents?: RouteParentStatus[] };
}

/** UDP is not supported: a UDPRoute gets a status that says so, and nothing else. */
export type UdpRoute = TcpRoute;

export function parseTlsRoute(raw: unknown): Parsed<TlsRoute> {
  const object = new Reader(raw);
  const reader = object.object("spec") ?? object.empty("spec");
  const hostnames = [...reader.strings("hostnames")];
  for (const [index, hostname] of hostnames.entries())
    checkHostname(hostname, (message) => reader.error(message, `hostnames[${index}]`));
  // Only warns if names are missing. They are optional in v1alpha2, and an API server may return a route as v1 that was
  // written as v1alpha2.
  if (hostnames.length === 0 && isSince(raw, "v1")) reader.warn("must have at least one name", "hostnames");
  const spec = {
    parentRefs: reader.objects("parentRefs").map(readParentReference),
    hostnames,
    rules: readRules(reader),
  };
  finishSpec(reader);
  return object.finish(() => ({ ...(raw as TlsRoute), spec }));
}

function parseTcpRoute(raw: unknown): Parsed<TcpRoute> {
  const object = new Reader(raw);
  const reader = object.object("spec") ?? object.empty("spec");
  const spec = { parentRefs: reader.objects("parentRefs").map(readParentReference), rules: readRules(reader) };
  finishSpec(reader);
  return object.finish(() => ({ ...(raw as TcpRoute), spec }));
}

/** Whether the object has this API version or a newer one. Older versions had fewer requirements. */
function isSince(raw: unknown, version: string): boolean {
  const found = (raw as { apiVersion?: unknown } | null | undefined)?.apiVersion;
  return found === undefined || found === `${gatewayGroup}/${version}`;
}

function readRules(reader: Reader): L4RouteRule[] {
  const rules = reader.objects("rules").map((rule) => {
    const found = { name: rule.string("name"), backendRefs: rule.objects("backendRefs").map(readBackend) };
    if (found.backendRefs.length === 0) rule.error("must have at least one backend", "backendRefs");
    warnOfUnknown(rule);
    return found;
  });
  if (rules.length === 0) reader.error("must have a rule", "rules");
  return rules;
}

function readBackend(reader: Reader): WeightedBackendReference {
  const backend = readWeightedReference(reader);
  warnOfUnknown(reader);
  return backend;
}

function finishSpec(reader: Reader): void {
  warnOfUnused(reader, "useDefaultGateways");
  warnOfUnknown(reader);
}

export const tlsRouteKind = defineKind<TlsRoute>({
  group: gatewayGroup,
  versions: ["v1", "v1alpha3", "v1alpha2"],
  kind: "TLSRoute",
  plural: "tlsroutes",
  namespaced: true,
  parse: parseTlsRoute,
});

export const tcpRouteKind = defineKind<TcpRoute>({
  group: gatewayGroup,
  versions: ["v1", "v1alpha2"],
  kind: "TCPRoute",
  plural: "tcproutes",
  namespaced: true,
  parse: parseTcpRoute,
});

export const udpRouteKind = defineKind<UdpRoute>({
  group: gatewayGroup,
  versions: ["v1", "v1alpha2"],
  kind: "UDPRoute",
  plural: "udproutes",
  namespaced: true,
  parse: parseTcpRoute,
});
