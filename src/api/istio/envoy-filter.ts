import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import type { Reader } from "../reader.ts";
import { checkSelectorLabels } from "./checks.ts";
import { openObject, refuseDryRun, refuseUnknown, requireText } from "./fields.ts";
import { networkingGroup } from "./networking.ts";
import { readTargetReferences, type PolicyTargetReference } from "./policy-target.ts";
import { regexFault } from "./regular-expressions.ts";

/** networking.istio.io EnvoyFilter: patches to what proxies are sent. Its shape is checked; Serin applies none. */
export interface EnvoyFilter extends KubernetesObject {
  spec: EnvoyFilterSpec;
}

export interface EnvoyFilterSpec {
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  readonly targetRefs: readonly PolicyTargetReference[];
  /** Lower ones first; 0 where absent. */
  readonly priority: number;
  readonly configPatches: readonly EnvoyConfigPatch[];
}

export interface EnvoyConfigPatch {
  readonly applyTo: (typeof places)[number];
  readonly context: (typeof contexts)[number];
  /** Of proxies: absent matches all. */
  readonly proxyVersion?: string | undefined;
  readonly operation: (typeof operations)[number];
  /** A part of Envoy's configuration, as JSON. */
  readonly value: Readonly<Record<string, unknown>>;
}

const places = [
  "LISTENER",
  "FILTER_CHAIN",
  "NETWORK_FILTER",
  "HTTP_FILTER",
  "ROUTE_CONFIGURATION",
  "VIRTUAL_HOST",
  "HTTP_ROUTE",
  "CLUSTER",
  "EXTENSION_CONFIG",
  "BOOTSTRAP",
  "LISTENER_FILTER",
] as const;
const contexts = ["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"] as const;
const operations = ["MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE", "MERGE_AND_REPLACE_LIST"] as const;
const objectTypes = ["listener", "routeConfiguration", "cluster", "waypoint"] as const;
type ObjectType = (typeof objectTypes)[number];

const matchOfPlace: Readonly<Partial<Record<(typeof places)[number], ObjectType>>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
};
const connectionManagers = ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

export function parseEnvoyFilter(raw: unknown): Parsed<EnvoyFilter> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const selector = reader.object("workloadSelector");
  const spec: EnvoyFilterSpec = {
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    targetRefs: readTargetReferences(reader),
    priority: reader.integer("priority") ?? 0,
    configPatches: reader.objects("configPatches").map(readPatch),
  };
  if (selector !== undefined && spec.targetRefs.length > 0) reader.error("must not be set beside targetRefs", "workloadSelector");
  if (spec.workloadSelector !== undefined) checkSelectorLabels(reader, "workloadSelector.labels", spec.workloadSelector.labels);
  reader.warn("has no effect: this control plane applies no EnvoyFilter; look for another kind that says the same", "configPatches");
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as EnvoyFilter), spec }));
}

function readPatch(reader: Reader): EnvoyConfigPatch {
  const match = reader.object("match");
  const patch = reader.required("patch", reader.object("patch"));
  const applyTo = reader.required("applyTo", reader.oneOf("applyTo", places)) ?? "BOOTSTRAP";
  const context = match?.oneOf("context", contexts) ?? "ANY";
  const operation = patch?.required("operation", patch.oneOf("operation", operations)) ?? "REMOVE";
  const value = patch?.object("value");
  if (patch !== undefined && operation !== "REMOVE" && value === undefined) patch.error("is required unless the operation is REMOVE", "value");
  patch?.oneOf("filterClass", ["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]);
  const proxyVersion = match === undefined ? undefined : readProxyVersion(match);
  if (match !== undefined) checkMatch(match, applyTo, context);
  refuseUnknown(patch);
  refuseUnknown(reader);
  return { applyTo, context, proxyVersion, operation, value: (value?.raw as Record<string, unknown> | undefined) ?? {} };
}

function readProxyVersion(match: Reader): string | undefined {
  const proxy = match.object("proxy");
  const version = proxy?.string("proxyVersion");
  const fault = version === undefined || version === "" ? undefined : regexFault(version);
  if (fault !== undefined) proxy?.error(fault, "proxyVersion");
  proxy?.stringMap("metadata");
  refuseUnknown(proxy);
  return version;
}

/** What is matched must be of the class of what is patched. */
function checkMatch(match: Reader, applyTo: EnvoyConfigPatch["applyTo"], context: EnvoyConfigPatch["context"]): void {
  const found = objectTypes.filter((type) => match.has(type));
  const [type] = found;
  if (found.length > 1) match.error(`must have one of ${objectTypes.join(", ")}, got ${found.join(" and ")}`);
  if ((context === "WAYPOINT") !== (type === "waypoint") && (context === "WAYPOINT" || type === "waypoint")) match.error("must have waypoint exactly when the context is WAYPOINT");
  const wanted = context === "WAYPOINT" ? undefined : matchOfPlace[applyTo];
  if (wanted !== undefined && type !== undefined && type !== "waypoint" && type !== wanted) match.error(`must be ${wanted} when applyTo is ${applyTo}`, type);
  const filter = match.object("listener")?.object("filterChain")?.object("filter");
  if (filter !== undefined && context !== "WAYPOINT") checkFilter(filter, applyTo);
  refuseUnknown(match);
}

function checkFilter(filter: Reader, applyTo: EnvoyConfigPatch["applyTo"]): void {
  const name = requireText(filter, "name");
  if (applyTo === "LISTENER" || applyTo === "FILTER_CHAIN") filter.warn(`has no effect when applyTo is ${applyTo}`);
  const inner = filter.object("subFilter");
  if (inner === undefined) return;
  if (applyTo !== "HTTP_FILTER") filter.error("needs applyTo to be HTTP_FILTER", "subFilter");
  else if (!connectionManagers.includes(name)) filter.error(`must be ${connectionManagers[0] ?? ""} beside a subFilter, got "${name}"`, "name");
  requireText(inner, "name");
}

export const envoyFilterKind = defineKind<EnvoyFilter>({
  group: networkingGroup,
  versions: ["v1alpha3"],
  kind: "EnvoyFilter",
  plural: "envoyfilters",
  namespaced: true,
  parse: parseEnvoyFilter,
});
