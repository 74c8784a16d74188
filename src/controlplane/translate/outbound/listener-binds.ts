import { byCreation, type AppProtocol } from "../../model/facts.ts";
import { addressKey, anyAddress, isAddress } from "../../model/ip-address.ts";
import { memos } from "../../model/memos.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { addressClaims, type AddressClaim } from "./outbound-port.ts";
import type { ResolvedPort } from "./outbound-route.ts";

export interface BoundPort extends ResolvedPort {
  readonly endpointsOf: (service: ServiceModel, port: number) => readonly EndpointModel[];
}

/**
 * An address of a listener, and the destinations at which its traffic is for the service. If there are none, all
 * traffic at the address is for the service.
 */
export interface Bind {
  readonly address: string;
  readonly destinations: readonly string[];
}

/**
 * The service's addresses, or else those of its pods, or else the wildcard address. On the wildcard address, CIDR
 * ranges or server names must tell services apart.
 */
export function bindsOf(
  service: ServiceModel,
  { port, endpointsOf }: BoundPort,
  taken: TakenAddresses,
): readonly Bind[] {
  if (port.bind !== undefined) return [{ address: port.bind, destinations: [] }];
  const ranges = service.addresses.filter((address) => address.includes("/"));
  const binds = service.addresses
    .filter((address) => !address.includes("/") && !taken.isOfPod(address, service))
    .map((address) => ({ address, destinations: [] as readonly string[] }));
  if (ranges.length > 0) binds.push({ address: anyAddress, destinations: ranges });
  if (service.addresses.length > 0 || service.lostAddresses === true) return binds;
  if (service.resolution !== "passthrough") return [{ address: anyAddress, destinations: [] }];
  const endpoints = endpointsOf(service, port.port);
  const plainEntry = service.registry === "External" && Object.keys(service.selector).length === 0;
  if (endpoints.length === 0 && plainEntry) return [{ address: anyAddress, destinations: [] }];
  const free = endpoints.filter((endpoint) => isAddress(endpoint.address) && !taken.isOfService(endpoint, service));
  return [...new Set(free.map(({ address }) => address))].map((address) => ({ address, destinations: [] }));
}

/**
 * Decides between a headless Service and another service with the address of one of its endpoints. Without a rule, the
 * author of either could capture the clients of the other. So an assigned address always stays with its service, and a
 * pod's address with the pod. In all other cases, as in upstream, the older service gets the address.
 */
export interface TakenAddresses {
  /** Whether a service other than the headless one has the endpoint's address. */
  readonly isOfService: (endpoint: EndpointModel, headless: ServiceModel) => boolean;
  /** Whether the address is one of a pod behind a headless Service of another namespace. */
  readonly isOfPod: (address: string, service: ServiceModel) => boolean;
}

const noneTaken: TakenAddresses = { isOfService: () => false, isOfPod: () => false };

export function takenAddresses({ port, services, endpointsOf }: BoundPort): TakenAddresses {
  const headless = services
    .filter(({ service, port: own }) => isHeadless(service) && listensOnAddresses(port.protocol ?? own.protocol))
    .map(({ service }) => service);
  if (headless.length === 0) return noneTaken;
  const claims = claimsOfAddresses.of(port.claims ?? addressClaims(services.map(({ service }) => service)), byAddress);
  if (claims.size === 0) return noneTaken;
  const pods = new Map<string, string>();
  for (const service of headless)
    for (const { address, ofPod } of endpointsOf(service, port.port))
      if (ofPod === true) pods.set(addressKey(address), service.namespace);
  return {
    isOfService: ({ address, ofPod }, service) => {
      const isTaken = (claim: AddressClaim): boolean => {
        const isForeign = claim.namespace !== service.namespace;
        if (claim.isAssigned) return !(ofPod === true && isForeign && claim.isImported);
        return ofPod !== true && isForeign && byCreation(claim, service) < 0;
      };
      return (claims.get(addressKey(address)) ?? []).some(isTaken);
    },
    isOfPod: (address, { registry, clusterSet, namespace }) => {
      const isWritten = registry === "External" || clusterSet === true;
      const owner = isWritten ? pods.get(addressKey(address)) : undefined;
      return owner !== undefined && owner !== namespace;
    },
  };
}

type ClaimsByAddress = ReadonlyMap<string, readonly AddressClaim[]>;

/** All scopes with the same list of claims share the result. */
const claimsOfAddresses = memos.memo<readonly AddressClaim[], ClaimsByAddress>("claims-of-addresses");

function byAddress(claims: readonly AddressClaim[]): ClaimsByAddress {
  const found = new Map<string, AddressClaim[]>();
  for (const claim of claims)
    for (const address of claim.addresses) {
      const plain = addressKey(address);
      const known = found.get(plain);
      if (known === undefined) found.set(plain, [claim]);
      else known.push(claim);
    }
  return found;
}

function isHeadless({ resolution, addresses, lostAddresses }: ServiceModel): boolean {
  return resolution === "passthrough" && addresses.length === 0 && lostAddresses !== true;
}

/**
 * Whether services with the protocol have listeners of their own. Services with other protocols share one listener for
 * each port.
 */
export function listensOnAddresses(protocol: AppProtocol): boolean {
  return protocol === "unknown" || protocol === "tcp" || protocol === "tls";
}
