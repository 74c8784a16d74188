import { istioLabels } from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { hbonePort as defaultHbonePort } from "../../wire/hbone/index.ts";
import { compareText, hostnameOf, type GatewayFacts, type MeshSettings, type ServiceFacts } from "./facts.ts";
import { remoteClassName } from "./gateway-class.ts";
import { isAddress } from "./ip-address.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { remoteKey } from "./remote-inputs.ts";

export interface NetworkGateway {
  readonly network: string;
  /** The gateway's cluster. Empty for a gateway that the mesh networks configuration names by address. */
  readonly cluster: string;
  readonly address: string;
  /** The port at which the gateway passes mutual TLS through by server name. 0 if there is none. */
  readonly port: number;
  /** The port for HBONE. 0 if there is none. */
  readonly hbonePort: number;
}

export interface NetworkGateways {
  /** The gateways, sorted by address and port. */
  readonly all: readonly NetworkGateway[];
  /** A factor that makes weights divisible by the number of gateways of each network, unless it would be too large. */
  readonly scale: number;
}

/**
 * The maximum of {@link NetworkGateways.scale}. Anybody who may create Gateways or Services can add networks with
 * gateways. Without the maximum, a few of them could make weights that no proxy accepts, in the clusters of all
 * namespaces.
 */
const maxScale = 10_000;

const noNetworkGateways: NetworkGateways = { all: [], scale: 1 };
const gatewaysKey = "all";

export interface NetworkGatewaysModel {
  /** The gateways, including those that are given by DNS name, which proxies resolve themselves. */
  readonly unresolved: Collection<NetworkGateways>;
  readonly resolved: Collection<NetworkGateways>;
}

export function gatewaysOf(collection: Collection<NetworkGateways>, reader: CollectionReader): NetworkGateways {
  return reader.get(collection, gatewaysKey) ?? noNetworkGateways;
}

/**
 * The gateways into a network. As in upstream, these are the ones in the endpoint's own cluster or, if there are none,
 * all gateways of the network.
 */
export function gatewaysTo(gateways: NetworkGateways, network: string, cluster: string): readonly NetworkGateway[] {
  const ofNetwork = gateways.all.filter((gateway) => gateway.network === network);
  const near = ofNetwork.filter((gateway) => gateway.cluster === cluster);
  return near.length > 0 ? near : ofNetwork;
}

const anyGateway = "any";

export function deriveNetworkGateways(graph: CollectionGraph, inputs: MeshInputs): NetworkGatewaysModel {
  const labelled = (service: ServiceFacts): readonly string[] =>
    service.labels[istioLabels.network] === undefined ? [] : [anyGateway];
  const resources = ({ labels }: GatewayFacts): readonly string[] =>
    labels[istioLabels.network] === undefined ? [] : [anyGateway];
  const localServices = inputs.services.index("network-gateway", labelled);
  const remoteServices = inputs.remote.services.index("network-gateway", labelled);
  const localResources = inputs.gateways.index("network-gateway", resources);
  const remoteResources = inputs.remote.gateways.index("network-gateway", resources);
  const unresolved = graph.derive("network-gateways", inputs.mesh, (mesh, reader) => {
    const services = [...reader.lookup(localServices, anyGateway), ...reader.lookup(remoteServices, anyGateway)];
    const described = reader
      .lookup(localResources, anyGateway)
      .map((gateway) => ({ gateway, cluster: mesh.clusterId }));
    // In remote clusters, a Gateway that describes a gateway of another cluster applies only to that remote cluster.
    const ofOthers = reader
      .lookup(remoteResources, anyGateway)
      .filter(({ spec }) => spec.gatewayClassName !== remoteClassName)
      .map((gateway) => ({ gateway, cluster: gateway.clusterId }));
    const found = [
      ...configuredGateways(mesh),
      ...services
        .filter(({ namespace }) => mayAddGateways(namespace, mesh))
        .flatMap((service) => labelledGateways(service, service.clusterId ?? mesh.clusterId)),
      ...registeredGateways(mesh, inputs, reader),
      ...(mesh.networkGateways?.discoversResources === false ? [] : [...described, ...ofOthers])
        .filter(({ gateway }) => mayAddGateways(gateway.namespace, mesh))
        .flatMap(({ gateway, cluster }) => resourceGateways(gateway, cluster)),
    ];
    return [[gatewaysKey, networkGateways(found)]];
  });
  const resolved = graph.derive("network-gateway-addresses", unresolved, ({ all }, reader) => [
    [
      gatewaysKey,
      networkGateways(
        all.flatMap((gateway) =>
          isAddress(gateway.address)
            ? gateway
            : (reader.get(inputs.resolvedNames, gateway.address)?.addresses ?? []).map((address) => ({
                ...gateway,
                address,
              })),
        ),
      ),
    ],
  ]);
  return { unresolved, resolved };
}

/** Whether labels may make the namespace's Services and Gateways gateways into networks. */
export function mayAddGateways(namespace: string, { networkGateways: policy }: MeshSettings): boolean {
  return policy?.namespaces?.includes(namespace) !== false;
}

function networkGateways(found: readonly NetworkGateway[]): NetworkGateways {
  const distinct = new Map(
    found.map((gateway) => [
      JSON.stringify([gateway.network, gateway.cluster, gateway.address, gateway.port, gateway.hbonePort]),
      gateway,
    ]),
  );
  const all = [...distinct.values()].sort(
    (left, right) =>
      compareText(left.address, right.address) ||
      left.port - right.port ||
      compareText(left.network, right.network) ||
      compareText(left.cluster, right.cluster),
  );
  const sizes = [
    Map.groupBy(all, ({ network }) => network),
    Map.groupBy(all, ({ network, cluster }) => JSON.stringify([network, cluster])),
  ].flatMap((groups) => [...groups.values()].map((group) => group.length));
  return { all, scale: scaleFor(sizes) };
}

/**
 * A number that is divisible by each number of gateways. If it would exceed the maximum, the largest numbers are
 * ignored, and the weights for the networks with so many gateways are rounded.
 */
function scaleFor(sizes: readonly number[]): number {
  let scale = 1;
  for (const size of sizes.toSorted((left, right) => left - right)) {
    const next = leastCommonMultiple(scale, size);
    if (next <= maxScale) scale = next;
  }
  return scale;
}

function leastCommonMultiple(left: number, right: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  return (left * right) / divisor(left, right);
}

function configuredGateways({ networks }: MeshSettings): readonly NetworkGateway[] {
  return Object.entries(networks).flatMap(([network, { gateways }]) =>
    gateways.flatMap(({ address, port }) =>
      address === undefined ? [] : { network, cluster: "", address, port, hbonePort: 0 },
    ),
  );
}

const portLabel = "networking.istio.io/gatewayPort";
const defaultGatewayPort = 15_443;

/** The gateways of a Service whose label `topology.istio.io/network` names a network. */
function labelledGateways(service: ServiceFacts, cluster: string): readonly NetworkGateway[] {
  const network = service.labels[istioLabels.network] ?? "";
  const labelledPort = Number(service.labels[portLabel] ?? defaultGatewayPort);
  const wanted = Number.isInteger(labelledPort) ? labelledPort : defaultGatewayPort;
  const has = (port: number): boolean => service.ports.some((candidate) => candidate.port === port);
  const [port, hbonePort] = [has(wanted) ? wanted : 0, has(defaultHbonePort) ? defaultHbonePort : 0];
  if (network === "" || port + hbonePort === 0) return [];
  return service.externalAddresses.map((address) => ({ network, cluster, address, port, hbonePort }));
}

/**
 * The Services that the mesh networks configuration names as gateways. They lead into networks that consist of whole
 * clusters.
 */
function registeredGateways(
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly NetworkGateway[] {
  return Object.entries(mesh.networks).flatMap(([network, { registries, gateways }]) =>
    gateways.flatMap(({ registryServiceName, port }) => {
      if (registryServiceName === undefined) return [];
      const [name = "", namespace = ""] = registryServiceName.split(".");
      if (registryServiceName !== hostnameOf({ name, namespace }, mesh.domain)) return [];
      return registries.flatMap((cluster) => {
        const service =
          cluster === mesh.clusterId
            ? reader.get(inputs.services, `${namespace}/${name}`)
            : reader.get(inputs.remote.services, remoteKey(cluster, `${namespace}/${name}`));
        // A network label of the Service takes precedence over the mesh networks configuration.
        if (service === undefined || service.labels[istioLabels.network] !== undefined) return [];
        return service.externalAddresses.map((address) => ({ network, cluster, address, port, hbonePort: 0 }));
      });
    }),
  );
}

const listenerModeOption = "gateway.istio.io/listener-protocol";
const autoPassthrough = "auto-passthrough";
const addressTypes: ReadonlySet<string> = new Set(["IPAddress", "Hostname"]);

function resourceGateways(gateway: GatewayFacts, cluster: string): readonly NetworkGateway[] {
  const network = gateway.labels[istioLabels.network] ?? "";
  if (network === "") return [];
  const addresses = (gateway.spec.addresses ?? [])
    .filter(({ type }) => type !== undefined && addressTypes.has(type))
    .map(({ value }) => value);
  return addresses.flatMap((address) =>
    gateway.spec.listeners.flatMap((listener) => {
      const base = { network, cluster, address, port: listener.port };
      const found = isAutoPassthrough(gateway, listener) ? [{ ...base, hbonePort: 0 }] : [];
      return listener.protocol === "HBONE" ? [...found, { ...base, hbonePort: listener.port }] : found;
    }),
  );
}

/**
 * Whether a listener passes TLS through by server name, because its option says so or the Gateway's label names its
 * port.
 */
function isAutoPassthrough({ labels }: GatewayFacts, listener: GatewayFacts["spec"]["listeners"][number]): boolean {
  if (listener.tls === undefined) return false;
  return (
    listener.tls.options?.[listenerModeOption] === autoPassthrough ||
    (labels[istioLabels.network] !== undefined && listener.port === Number(labels[portLabel] ?? defaultGatewayPort))
  );
}
