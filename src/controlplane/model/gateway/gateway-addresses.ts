import type { GatewayAddress } from "../../../api/gateway/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { hostnameOf, type GatewayFacts, type MeshSettings, type ServiceFacts } from "../facts.ts";
import { gatewayServiceName } from "../gateway-names.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

const addressTypeAnnotation = "networking.istio.io/address-type";

/**
 * Whether the control plane deploys the proxies of a Gateway. If the Gateway names a host or several addresses, the
 * user does.
 */
export function isManaged({ spec: { addresses = [] } }: Pick<GatewayFacts, "spec">): boolean {
  const [first] = addresses;
  return first === undefined || (addresses.length === 1 && (first.type ?? "IPAddress") === "IPAddress");
}

/** The full names of the Services in front of a Gateway's proxies, and the Gateway's addresses that name no Service. */
export function gatewayHosts(
  gateway: GatewayFacts,
  domain: string,
): { readonly hosts: readonly string[]; readonly unsupported: readonly string[] } {
  if (isManaged(gateway))
    return {
      hosts: [hostnameOf({ namespace: gateway.namespace, name: gatewayServiceName(gateway) }, domain)],
      unsupported: [],
    };
  const addresses = gateway.spec.addresses ?? [];
  const isHost = ({ type }: GatewayAddress): boolean => type === "Hostname";
  return {
    hosts: addresses
      .filter(isHost)
      .map(({ value }) =>
        value.includes(".") ? value : hostnameOf({ namespace: gateway.namespace, name: value }, domain),
      ),
    unsupported: addresses.filter((address) => !isHost(address)).map(({ value }) => value),
  };
}

export interface GatewayReach {
  readonly addresses: readonly GatewayAddress[];
  /** The `host:port` of each reachable port. */
  readonly internal: readonly string[];
  readonly fault: Verdict;
}

/**
 * Finds the addresses and ports at which a Gateway can be reached. `ports` are those of its listeners. A port is
 * reachable if a Service of the Gateway has it and a proxy behind the Service is ready.
 */
export function gatewayReach(
  gateway: GatewayFacts,
  ports: readonly number[],
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): GatewayReach {
  const { hosts } = gatewayHosts(gateway, mesh.domain);
  if (hosts.length === 0)
    return {
      addresses: [],
      internal: [],
      fault: { reason: "UnsupportedAddress", message: "Failed to assign to any requested addresses" },
    };
  const { namespace } = gateway;
  const found = hosts.map((host) => findHost(host, { namespace, ports, domain: mesh.domain }, inputs, reader));
  const internal = found.flatMap((host) => host.internal).toSorted();
  const warnings = found.flatMap((host) => host.warnings).toSorted();
  const prefix =
    internal.length === 0
      ? "Failed to assign to any requested addresses"
      : `Assigned to service(s) ${joined(internal)}, but failed to assign to all requested addresses`;
  const reason = found.some((host) => host.unusable) ? "AddressNotUsable" : "AddressNotAssigned";
  return {
    addresses: addressesOf(gateway, found),
    internal,
    fault: warnings.length === 0 ? undefined : { reason, message: `${prefix}: ${warnings.join("; ")}` },
  };
}

interface FoundHost {
  readonly host: string;
  readonly service: ServiceFacts | undefined;
  readonly internal: readonly string[];
  readonly warnings: readonly string[];
  readonly unusable: boolean;
}

interface HostQuery {
  readonly namespace: string;
  readonly ports: readonly number[];
  readonly domain: string;
}

function findHost(
  host: string,
  { namespace, ports, domain }: HostQuery,
  inputs: MeshInputs,
  reader: CollectionReader,
): FoundHost {
  const suffix = `.${namespace}.svc.${domain}`;
  const service = host.endsWith(suffix)
    ? reader.get(inputs.services, `${namespace}/${host.slice(0, -suffix.length)}`)
    : undefined;
  if (service === undefined)
    return { host, service, internal: [], warnings: [`hostname "${host}" not found`], unusable: true };
  const slices = reader.lookup(
    inputs.slices.index("service", (slice) => [slice.service]),
    `${service.namespace}/${service.name}`,
  );
  if (!slices.some((slice) => slice.endpoints.some((endpoint) => endpoint.ready)))
    return { host, service, internal: [], warnings: [`no instances found for hostname "${host}"`], unusable: false };
  const has = (port: number): boolean => service.ports.some((candidate) => candidate.port === port);
  const missing = ports.filter((port) => !has(port)).map((port) => `port ${port} not found for hostname "${host}"`);
  const pending =
    service.type === "LoadBalancer" && service.balancerAddresses.length === 0
      ? [`address pending for hostname "${host}"`]
      : [];
  return {
    host,
    service,
    internal: ports.filter(has).map((port) => `${host}:${port}`),
    warnings: [...missing, ...pending],
    unusable: missing.length > 0,
  };
}

/** The addresses outside the cluster or, if there are none, those inside. */
function addressesOf(gateway: GatewayFacts, found: readonly FoundHost[]): readonly GatewayAddress[] {
  const reached = found.filter(({ internal }) => internal.length > 0);
  const external = unique(reached.flatMap(({ service }) => service?.balancerAddresses ?? []));
  if (external.length > 0) return external.map(addressOf);
  const wanted = gateway.annotations[addressTypeAnnotation];
  const inside = wanted === "Hostname" ? [] : unique(reached.flatMap(({ service }) => service?.clusterAddresses ?? []));
  const isPending = ({ service }: FoundHost): boolean => service?.type === "LoadBalancer";
  const names = wanted === "IPAddress" ? [] : reached.filter((host) => !isPending(host)).map(({ host }) => host);
  return [...inside, ...names].map(addressOf);
}

function addressOf(value: string): GatewayAddress {
  return { type: /^[\d.]+$|:/.test(value) ? "IPAddress" : "Hostname", value };
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)].toSorted();
}

export function joined(texts: readonly string[]): string {
  if (texts.length < 3) return texts.join(" and ");
  return `${texts.slice(0, -1).join(", ")}, and ${texts.at(-1) ?? ""}`;
}
