import { serviceKind } from "../api/kubernetes/index.ts";
import { hostCovers, isWildcard, serviceEntryKind, type ServiceEntry } from "../api/istio/index.ts";
import type { Entry, Inventory } from "./inventory.ts";

/** A host that routes may name: the full name of a Service, or a host of a ServiceEntry, possibly a wildcard. */
export interface KnownHost {
  readonly host: string;
  readonly namespace: string;
  readonly ports: readonly number[];
  /** The selector of the host's pods. Empty if it has none. */
  readonly selector: Readonly<Record<string, string>>;
  readonly kind: "Service" | "ServiceEntry";
  readonly isExternalName: boolean;
  /** Whether a namespace sees the host. */
  readonly isVisibleIn: (namespace: string) => boolean;
}

const clusterDomain = "svc.cluster.local";
const exportToAnnotation = "networking.istio.io/exportTo";

/** The full name of a host in an object of the namespace. A host with a dot or a wildcard stays unchanged. */
export function fullHost(host: string, namespace: string): string {
  return host.includes(".") || isWildcard(host) ? host : `${host}.${namespace}.${clusterDomain}`;
}

const hostsOf = new WeakMap<Inventory, readonly KnownHost[]>();

export function knownHosts(inventory: Inventory): readonly KnownHost[] {
  const known = hostsOf.get(inventory);
  if (known !== undefined) return known;
  const hosts = [...services(inventory), ...inventory.of(serviceEntryKind).flatMap(hostsOfEntry)];
  hostsOf.set(inventory, hosts);
  return hosts;
}

/** The host as an object of the namespace sees it. */
export function findHost(inventory: Inventory, host: string, namespace: string): KnownHost | undefined {
  const wanted = fullHost(host, namespace);
  const visible = knownHosts(inventory).filter((known) => known.isVisibleIn(namespace));
  return visible.find((known) => known.host === wanted) ?? visible.find((known) => hostCovers(known.host, wanted));
}

/** The Services with this name in all namespaces. Messages offer them after "did you mean". */
export function namesakes(inventory: Inventory, host: string): readonly string[] {
  const name = host.split(".")[0] ?? host;
  return knownHosts(inventory).flatMap((known) =>
    known.kind === "Service" && known.host.split(".")[0] === name ? [known.host] : [],
  );
}

/** Whether all hosts are known, so that an unknown host can be reported as missing. */
export function knowsAllHosts(inventory: Inventory): boolean {
  return inventory.options.scope === "cluster"
    ? inventory.knowsAll(serviceKind, serviceEntryKind)
    : inventory.knowsAll(serviceKind);
}

function services(inventory: Inventory): KnownHost[] {
  return inventory.of(serviceKind).map(({ object: { metadata, spec = {} } }) => ({
    host: fullHost(metadata.name ?? "", metadata.namespace ?? ""),
    namespace: metadata.namespace ?? "",
    ports: (spec.ports ?? []).map(({ port }) => port),
    selector: spec.selector ?? {},
    kind: "Service",
    isExternalName: spec.type === "ExternalName",
    isVisibleIn: visibility(
      (metadata.annotations?.[exportToAnnotation] ?? "")
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== ""),
      metadata.namespace ?? "",
    ),
  }));
}

function hostsOfEntry({ object: { metadata, spec } }: Entry<ServiceEntry>): KnownHost[] {
  return spec.hosts.map((host) => ({
    host: fullHost(host, metadata.namespace ?? ""),
    namespace: metadata.namespace ?? "",
    ports: spec.ports.map(({ number }) => number),
    selector: spec.workloadSelector?.labels ?? {},
    kind: "ServiceEntry",
    isExternalName: false,
    isVisibleIn: visibility(spec.exportTo, metadata.namespace ?? ""),
  }));
}

/** Returns a test for whether a namespace is in `exportTo`. An empty list, or `*`, means all namespaces. */
export function visibility(exportTo: readonly string[], own: string): (namespace: string) => boolean {
  return (namespace) =>
    exportTo.length === 0 ||
    exportTo.some((entry) => entry === "*" || entry === namespace || (entry === "." && namespace === own));
}
