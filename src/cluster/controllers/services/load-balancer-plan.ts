import { canonicalJson } from "../../../base/index.ts";
import { matchesLabelSelector } from "../../../api/index.ts";
import type { IPAddressPool, L2Advertisement, Service } from "../../../api/kubernetes/index.ts";
import { formatAddress, isBuggy, parseAddress, parseRange, rangeHas, type AddressRange } from "./address-pool.ts";

export type Allocation =
  | { readonly addresses: readonly string[]; readonly pool: string }
  | { readonly addresses: undefined; readonly reason: string };

/**
 * A Service that uses an address. Services may share an address if they name the same sharing key, use different ports,
 * and either all have the external traffic policy Cluster or select the same pods.
 */
export interface AddressUse {
  readonly service: string;
  readonly sharingKey: string | undefined;
  /** The selector of a Service with the external traffic policy Local. Empty for all other Services. */
  readonly localPods: string;
  readonly ports: readonly string[];
}

const annotationOf = (service: Service, name: string): string | undefined =>
  service.metadata.annotations?.[`metallb.io/${name}`] ?? service.metadata.annotations?.[`metallb.universe.tf/${name}`];

export function wantsAddress(service: Service): boolean {
  return (
    service.spec?.type === "LoadBalancer" &&
    (service.spec.loadBalancerClass ?? "") === "" &&
    service.metadata.deletionTimestamp === undefined
  );
}

export function addressesOf(service: Service): string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
}

/**
 * Chooses addresses for a Service that has none: the requested addresses, or else the lowest free ones of the first
 * suitable pool.
 */
export function allocate(
  service: Service,
  pools: readonly IPAddressPool[],
  used: ReadonlyMap<string, readonly AddressUse[]>,
): Allocation {
  const families = service.spec?.ipFamilies ?? ["IPv4"];
  const use = useOf(service);
  const free = (address: string): boolean =>
    (used.get(address) ?? []).every((other) => other.service === use.service || mayShare(other, use));
  const wantedPool = annotationOf(service, "address-pool");
  const wanted = requestedAddresses(service);
  if (wanted.length > 0) return allocateRequested(service, wanted, pools, wantedPool, free);
  const ordered = [...pools].sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
  const candidates = ordered.filter((pool) =>
    wantedPool === undefined ? pool.spec?.autoAssign !== false : pool.metadata.name === wantedPool,
  );
  if (wantedPool !== undefined && candidates.length === 0)
    return { addresses: undefined, reason: `unknown pool "${wantedPool}"` };
  if (candidates.length === 0)
    return { addresses: undefined, reason: "no available IPs: there is no IPAddressPool with autoAssign" };
  for (const pool of candidates) {
    const addresses = families.map((family) => lowestFree(pool, family, free));
    if (addresses.every((address) => address !== undefined)) return { addresses, pool: pool.metadata.name ?? "" };
  }
  return {
    addresses: undefined,
    reason: `no available IPs in ${candidates.map((pool) => `pool "${pool.metadata.name ?? ""}"`).join(", ")}`,
  };
}

export function requestedAddresses(service: Service): string[] {
  const annotated = annotationOf(service, "loadBalancerIPs");
  if (annotated !== undefined) return annotated.split(",").map((part) => part.trim());
  const ip = service.spec?.loadBalancerIP ?? "";
  return ip === "" ? [] : [ip];
}

export function useOf(service: Service): AddressUse {
  const { namespace = "", name = "" } = service.metadata;
  const ports = (service.spec?.ports ?? []).map(({ port, protocol = "TCP" }) => `${protocol}/${port}`);
  const localPods = service.spec?.externalTrafficPolicy === "Local" ? canonicalJson(service.spec.selector ?? {}) : "";
  return { service: `${namespace}/${name}`, sharingKey: annotationOf(service, "allow-shared-ip"), localPods, ports };
}

/** Whether an advertisement announces the pool. An advertisement that names no pools announces all. */
export function isAdvertised(pool: IPAddressPool, advertisements: readonly L2Advertisement[]): boolean {
  return advertisements.some(({ spec }) => {
    const names = spec?.ipAddressPools ?? [];
    const selectors = spec?.ipAddressPoolSelectors ?? [];
    if (names.length + selectors.length === 0) return true;
    return (
      names.includes(pool.metadata.name ?? "") ||
      selectors.some((selector) => matchesLabelSelector(selector, pool.metadata.labels))
    );
  });
}

export function rangesOf(pool: IPAddressPool): AddressRange[] {
  return (pool.spec?.addresses ?? []).flatMap((text) => parseRange(text) ?? []);
}

function allocateRequested(
  service: Service,
  wanted: readonly string[],
  pools: readonly IPAddressPool[],
  wantedPool: string | undefined,
  free: (address: string) => boolean,
): Allocation {
  for (const address of wanted)
    if (parseAddress(address) === undefined)
      return { addresses: undefined, reason: `"${address}" is not an IP address` };
  const pool = pools.find(
    (candidate) =>
      (wantedPool === undefined || candidate.metadata.name === wantedPool) &&
      wanted.every((address) => rangesOf(candidate).some((range) => rangeHas(range, address))),
  );
  if (pool === undefined) return { addresses: undefined, reason: `["${wanted.join('" "')}"] is not allowed in config` };
  const taken = wanted.find((address) => !free(address));
  if (taken !== undefined)
    return {
      addresses: undefined,
      reason: `can't change sharing key for "${useOf(service).service}", address "${taken}" is in use`,
    };
  return { addresses: wanted, pool: pool.metadata.name ?? "" };
}

function lowestFree(
  pool: IPAddressPool,
  family: "IPv4" | "IPv6",
  free: (address: string) => boolean,
): string | undefined {
  const ranges = rangesOf(pool)
    .filter((range) => range.family === family)
    .sort((a, b) => (a.first < b.first ? -1 : 1));
  for (const range of ranges) {
    for (let value = range.first; value <= range.last; value += 1n) {
      if (pool.spec?.avoidBuggyIPs === true && isBuggy(family, value)) continue;
      const address = formatAddress(family, value);
      if (free(address)) return address;
    }
  }
  return undefined;
}

function mayShare(left: AddressUse, right: AddressUse): boolean {
  return (
    left.sharingKey !== undefined &&
    left.sharingKey === right.sharingKey &&
    left.localPods === right.localPods &&
    !left.ports.some((port) => right.ports.includes(port))
  );
}
