// Decides what an attacker's objects may change for others.
import { createRegistry, fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { KubernetesObject } from "../../src/api/index.ts";
import { envoyTypes } from "../../src/controlplane/envoy-types-file.ts";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { NameTableSchema } from "../../src/wire/discovery/index.ts";
import { AddressSchema, AuthorizationSchema, NetworkMode } from "../../src/wire/workload/index.ts";
import type { Snapshot } from "./attacked-mesh.ts";

/** Others may change nothing in the configuration of these proxies. */
const closed = /^(bank|waypoint) /;
/** Others may not change these parts of the other proxies. */
const own =
  /^shop (cluster inbound\||cluster InboundPassthroughCluster|listener virtualInbound)|^shop extension |^\w+ extension /;
/**
 * Configuration that follows VirtualServices and ServiceEntries that are exported to the proxy, as docs/security.md
 * says.
 */
const following = /^shop |^(ingress|egress|door) (cluster|endpoint) /;
const victimHosts = [
  ...[
    "web.shop",
    "db.shop",
    "ledger.bank",
    "cart.amb",
    "wp.amb",
    "wp.shared",
    "mail.desk",
    "ingress.edge",
    "egress.edge",
    "door-istio.edge",
  ].map((name) => `${name}.svc.cluster.local`),
  "api.example.com",
  "far.example.com",
  "site.example.com",
  "web.shop.svc.clusterset.local",
];
/**
 * The hosts of the gateway for Ingresses. Ingresses for the same host are merged, and merged with a Gateway's routes.
 */
const ingressHosts = ["shop.example.com", "site.example.com"];
const ofIngresses = /^ingress route http\.80$/;
const victimAddresses = /\b(?:10\.96\.[1-6]\.\d|240\.0\.0\.[12]|242\.0\.0\.1|10\.244\.1\.3)\b|\/\d/;
/** Every namespace may create a gateway into the network that the Gateway's label names (docs/influence.md). */
const ofNetworks = /^ambient address NetworkGateway\//;
/** What belongs to the attacker. */
const attackers = /\bevil\b|\b10\.(?:96|244)\.9\./;

/** Returns how the objects have changed what is not the attacker's. */
export function harmOf(before: Snapshot, after: Snapshot, objects: readonly KubernetesObject[]): string[] {
  const isClaimed = objects.some(claims);
  const isMerged = objects.some(claimsIngress);
  const found: string[] = [];
  for (const [place, { version, resource }] of before) {
    if (attackers.test(place)) continue;
    const changed = after.get(place);
    if (changed?.version === version) continue;
    if (isMerged && ofIngresses.test(place)) continue;
    if (isClaimed && following.test(place) && !own.test(place)) continue;
    if (changed === undefined) found.push(`${place} is gone`);
    else if (resource === undefined || changed.resource === undefined)
      found.push(
        ...(place.startsWith("status ")
          ? changedStatus(place, version, changed.version, objects.some(addsPort))
          : [`${place} has changed`]),
      );
    else if (closed.test(place) || own.test(place) || !/ (listener|route|names) /.test(place))
      found.push(...differences(place, resource, changed.resource, "equal"));
    else found.push(...differences(place, resource, changed.resource, "contained"));
  }
  for (const [place, { resource }] of after) {
    if (!before.has(place) && place.startsWith("ambient address ") && resource !== undefined && takesAddress(resource))
      found.push(`${place} takes the address of a Service`);
    if (before.has(place) || attackers.test(place) || ofNetworks.test(place)) continue;
    if (closed.test(place) || own.test(place) || /^(ambient|status) /.test(place)) found.push(`${place} is new`);
  }
  return found;
}

const serviceAddresses = /^10\.96\.[1-6]\.\d+$/;

/** Whether ztunnels find a workload at the address of a victim's Service. */
function takesAddress({ any }: EncodedResource): boolean {
  const { type } = fromBinary(AddressSchema, fromBinary(AnySchema, any).value);
  return (
    type.case === "workload" &&
    type.value.networkMode !== NetworkMode.HOST_NETWORK &&
    type.value.addresses.some((bytes) => serviceAddresses.test(bytes.join(".")))
  );
}

interface Exported extends KubernetesObject {
  readonly spec?: {
    readonly exportTo?: readonly string[];
    readonly hosts?: readonly string[];
    readonly addresses?: readonly string[];
    readonly ips?: readonly string[];
  };
}

/** Whether an exported object names hosts or addresses of others. */
function claims({ kind, spec }: Exported): boolean {
  // A Service keeps its address, as foreign-endpoints.test.ts proves.
  if (kind === "ServiceImport") return spec?.ips?.some((address) => victimAddresses.test(address)) === true;
  if (kind !== "VirtualService" && kind !== "ServiceEntry") return false;
  const { exportTo = [], hosts = [], addresses = [] } = spec ?? {};
  if (exportTo.length > 0 && exportTo.every((name) => name === "." || name === "~")) return false;
  return (
    // As in Istio, an entry without addresses applies to all addresses on its ports.
    (kind === "ServiceEntry" && addresses.length === 0) ||
    addresses.some((address) => victimAddresses.test(address)) ||
    hosts.some((host) =>
      victimHosts.some((victim) => victim === host || (host.startsWith("*") && victim.endsWith(host.slice(1)))),
    )
  );
}

function claimsIngress({ kind, spec }: KubernetesObject & { readonly spec?: unknown }): boolean {
  if (kind !== "Ingress") return false;
  const { rules = [] } = (spec ?? {}) as { readonly rules?: readonly { readonly host?: string }[] };
  return rules.some(({ host = "" }) => ingressHosts.includes(host.toLowerCase()));
}

/** Everybody may attach sets of listeners to the gateway at this port. */
const openPort = 80;

/** Whether an object is a set of listeners with a port that its gateway lacks. */
function addsPort({ kind, spec }: KubernetesObject & { readonly spec?: unknown }): boolean {
  if (kind !== "ListenerSet") return false;
  const { listeners } = (spec ?? {}) as { readonly listeners?: unknown };
  return Array.isArray(listeners) && listeners.some((listener) => Reflect.get(Object(listener), "port") !== openPort);
}

/**
 * Everybody may attach routes to the open listener, and sets of listeners to its gateway. A set with another port adds
 * it to the gateway's Service.
 */
function changedStatus(place: string, before: string, after: string, mayAddPort: boolean): string[] {
  const withoutCounts = (text: string): string =>
    text.replaceAll(/"(attachedRoutes|attachedListenerSets)":\d+/g, '"$1":0');
  return withoutCounts(before) === withoutCounts(mayAddPort ? withoutAddedPorts(before, after) : after)
    ? []
    : [`${place} has changed: ${before} -> ${after}`];
}

function withoutAddedPorts(before: string, after: string): string {
  const known = new Set(portsOf(JSON.parse(before)).map((port) => JSON.stringify(port)));
  const status = JSON.parse(after) as { ports?: readonly unknown[] };
  if (known.size > 0) status.ports = portsOf(status).filter((port) => known.has(JSON.stringify(port)));
  return JSON.stringify(status);
}

function portsOf(status: unknown): readonly unknown[] {
  const { ports } = (status ?? {}) as { readonly ports?: unknown };
  return Array.isArray(ports) ? ports : [];
}

/** Replaces the weights of endpoints with relative ones. Gateways of networks multiply all by the same factor. */
function withRelativeWeights(value: JsonValue): JsonValue {
  let divisor = 0;
  const text = JSON.stringify(value, (key, inner: unknown) => {
    if (key === "load_balancing_weight" && typeof inner === "number") divisor = greatestDivisor(inner, divisor);
    return inner;
  });
  return divisor <= 1
    ? value
    : (JSON.parse(text, (key, inner: unknown) =>
        key === "load_balancing_weight" && typeof inner === "number" ? inner / divisor : inner,
      ) as JsonValue);
}

function greatestDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestDivisor(right, left % right);
}

type Comparison = "equal" | "contained";

function differences(place: string, before: EncodedResource, after: EncodedResource, comparison: Comparison): string[] {
  const [was, is] = [decoded(before), decoded(after)].map(withRelativeWeights) as [JsonValue, JsonValue];
  if (comparison === "equal") {
    const path = lost(was, is, "", true) ?? lost(is, was, "", true);
    return path === undefined ? [] : [`${place} has changed at ${path}`];
  }
  const path = lost(was, is, "", false);
  return path === undefined ? [] : [`${place} has lost ${path}`];
}

const ownTypes = createRegistry(AddressSchema, AuthorizationSchema, NameTableSchema);

function decoded({ any }: EncodedResource): JsonValue {
  const { typeUrl, value } = fromBinary(AnySchema, any);
  const name = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  const desc = ownTypes.getMessage(name) ?? envoyTypes().mustHave(name);
  return withoutSharedParts(
    toJson(desc, fromBinary(desc, value), { registry: envoyTypes().registry, useProtoFieldName: true }),
  );
}

/**
 * Leaves out what an attacker may change: its own addresses among those of all workloads of a shared waypoint, and the
 * filters in all chains that resolve hosts of ServiceEntries.
 */
function withoutSharedParts(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutSharedParts);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      Array.isArray(inner)
        ? inner.filter((item) => !isShared(key, item)).map(withoutSharedParts)
        : withoutSharedParts(inner),
    ]),
  );
}

function isShared(key: string, item: JsonValue): boolean {
  return (
    (key === "ranges" && attackers.test(JSON.stringify(item))) ||
    (key === "http_filters" && nameOf(item) === "envoy.filters.http.dynamic_forward_proxy")
  );
}

/**
 * Returns the path of a part of the first value that the second lacks. Lists are compared as sets of items with names.
 */
function lost(before: JsonValue, after: JsonValue | undefined, path: string, isExact: boolean): string | undefined {
  if (typeof before !== "object" || before === null)
    return before === after ? undefined : `${path} ${JSON.stringify(before)} -> ${JSON.stringify(after)}`;
  if (typeof after !== "object" || after === null) return path;
  if (Array.isArray(before)) {
    if (!Array.isArray(after)) return path;
    for (const [index, item] of before.entries()) {
      if (!isExact && attackers.test(JSON.stringify(item))) continue;
      const name = nameOf(item);
      const same = isExact
        ? after[index]
        : name === undefined
          ? after.find((other) => JSON.stringify(other) === JSON.stringify(item))
          : after.find((other) => nameOf(other) === name);
      const missing =
        same === undefined
          ? `${path}[${name ?? index}] ${JSON.stringify(item).slice(0, 300)}`
          : lost(item, same, `${path}[${name ?? index}]`, isExact || isWhole(path));
      if (missing !== undefined) return missing;
    }
    return isExact && before.length !== after.length ? path : undefined;
  }
  if (Array.isArray(after)) return path;
  for (const [key, inner] of Object.entries(before)) {
    if (!isExact && attackers.test(key)) continue;
    const missing = lost(inner, after[key], `${path}.${key}`, isExact);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** Whether the items of a list each belong to one host or chain, and so to one owner. */
function isWhole(path: string): boolean {
  return /(virtual_hosts|filter_chains)$/.test(path);
}

function nameOf(value: JsonValue): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { name } = value;
  return typeof name === "string" && name !== "" ? name : undefined;
}
