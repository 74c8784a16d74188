import { istioLabels, withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { ListenerSchema } from "../../../wire/envoy/index.ts";
import { anyAddress, isAddress } from "../../model/ip-address.ts";
import type { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import type { Waypoint } from "../../model/ambient/waypoint.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { localNetwork } from "../../model/cluster-view.ts";
import { type Labels, type MeshSettings, byCreation, compareText, factsKey, meshKey } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { proxyConfigOfGateway } from "../../model/gateway/gateway-proxy-config.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { workloadEntryLabels } from "../../model/workload-entry.ts";
import { connectOriginateListener } from "../connect-originate.ts";
import { doubleTunnelListeners } from "../double-tunnel.ts";
import { connectTerminateListener } from "../inbound/inbound-hbone.ts";
import { type ScopedEncodedResource, sameScopedResource } from "../resource.ts";
import { portShare } from "../filter-init.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { tunnelLogsOf2022, writesLogsOf2022 } from "../telemetry/access-log-2022.ts";
import type { AccessLogInit } from "../telemetry/access-log.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";
import { type WaypointPolicies, type WaypointServiceChains, mainInternalListener } from "./waypoint-listener.ts";
import {
  type ServedRegistry,
  type ServedService,
  type Sources,
  portsOf,
  routeContext,
  scoped,
} from "./waypoint-sources.ts";

/** The listeners of each waypoint: for tunnels, for the connections inside them, and for tunnels to endpoints. */
export function deriveWaypointListeners(
  graph: CollectionGraph,
  sources: Sources,
  bindings: WaypointBindings,
): Collection<ScopedEncodedResource> {
  const { model, waypoints, registries } = sources;
  const { inputs } = model;
  const policiesOf = waypointPolicies(inputs);
  const workloads = workloadsOfWaypoints(graph, inputs, bindings);
  const listenersOf = (waypoint: Waypoint, mesh: MeshSettings, reader: CollectionReader) => {
    const context = routeContext(waypoint, mesh, sources, reader);
    const services = servicesOf(waypoint, registries, reader);
    const chains = services.map(({ kind, item, service }): WaypointServiceChains => {
      const target = { kind, namespace: service.namespace, name: service.objectName };
      const policies = policiesOf(waypoint, [target], mesh, reader);
      const { security, telemetry } = policies;
      return {
        kind,
        addresses: service.addresses,
        ports: portsOf(service, item, context).slice(0, portShare([...security.http, ...telemetry.stats("waypoint")])),
        policies,
      };
    });
    const found = reader.lookup(workloads.pods, waypoint.key);
    const named = Map.groupBy(
      workloads.named.flatMap((index) => reader.lookup(index, waypoint.key)),
      ({ namespace }) => namespace,
    );
    const addressesOf = (items: readonly WaypointWorkload[]): readonly string[] =>
      [...new Set(items.flatMap(({ addresses }) => addresses))].sort(compareText);
    return [
      connectTerminateListener(
        mesh,
        anyAddress,
        ofTunnels(
          services.map(({ service }) => service),
          mesh,
        ),
      ),
      mainInternalListener({
        mesh,
        services: chains,
        workloads: addressesOf(found),
        named: [...named].sort(([left], [right]) => compareText(left, right)).map(([, items]) => addressesOf(items)),
        direct: policiesOf(waypoint, [], mesh, reader),
      }),
      connectOriginateListener(),
      ...(crossesNetworks(mesh) ? doubleTunnelListeners("waypoint", localNetwork(mesh, inputs, reader)) : []),
    ];
  };
  return graph.derive(
    "lds-waypoints",
    waypoints.all,
    (waypoint, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      return mesh === undefined
        ? []
        : listenersOf(
            waypoint,
            withOwnProxyConfig(mesh, proxyConfigOfGateway(waypoint.key, inputs, reader)),
            reader,
          ).map((listener) => scoped(ListenerSchema, waypoint.key, listener, listener.name));
    },
    sameScopedResource,
  );
}

interface WaypointWorkload {
  readonly waypoint: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
}

/** The workloads whose own addresses ztunnels reach through a waypoint, by the waypoint's key. */
interface WaypointWorkloads {
  readonly pods: CollectionIndex<WaypointWorkload>;
  /** WorkloadEntries, and endpoints of ServiceEntries. */
  readonly named: readonly CollectionIndex<WaypointWorkload>[];
}

function workloadsOfWaypoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  bindings: WaypointBindings,
): WaypointWorkloads {
  const entry = (
    key: string,
    workload: { readonly namespace: string; readonly labels: Labels },
    address: string | undefined,
    reader: CollectionReader,
  ): readonly (readonly [string, WaypointWorkload])[] => {
    const { waypoint } = bindings.bindingOfEntry(workload, reader);
    return waypoint === undefined || address === undefined || !isAddress(address)
      ? []
      : [[key, { waypoint: waypoint.key, namespace: workload.namespace, addresses: [address] }]];
  };
  const pods = graph.derive("waypoint-workloads", inputs.pods, (pod, reader) => {
    const waypoint = bindings.ofPod(pod, reader);
    return waypoint === undefined
      ? []
      : [[factsKey(pod), { waypoint: waypoint.key, namespace: pod.namespace, addresses: pod.addresses }] as const];
  });
  const named = [
    graph.derive("waypoint-workload-entries", inputs.workloadEntries, (facts, reader, key) =>
      entry(key, { namespace: facts.namespace, labels: workloadEntryLabels(facts) }, facts.spec.address, reader),
    ),
    graph.derive("waypoint-entry-endpoints", inputs.serviceEntries, ({ namespace, spec }, reader, key) =>
      spec.endpoints.flatMap(({ address, labels }, index) =>
        entry(`${key}#${index}`, { namespace, labels }, address, reader),
      ),
    ),
  ];
  const byWaypoint = (collection: Collection<WaypointWorkload>): CollectionIndex<WaypointWorkload> =>
    collection.index("waypoint", ({ waypoint }) => [waypoint]);
  return { pods: byWaypoint(pods), named: named.map(byWaypoint) };
}

/**
 * The services behind the waypoint, each with its names. If several have the same address, only the first gets it:
 * services of the waypoint's own namespace come first, and then the oldest.
 */
function servicesOf(
  waypoint: Waypoint,
  registries: Sources["registries"],
  reader: CollectionReader,
): readonly (Pick<ServedRegistry, "kind"> & { readonly item: ServedService; readonly service: ServiceModel })[] {
  const isForeign = ({ namespace }: ServiceModel): number => (namespace === waypoint.namespace ? 0 : 1);
  return registries.flatMap(({ kind, byWaypoint, services }) =>
    reader
      .lookup(byWaypoint, waypoint.key)
      .flatMap((item) => {
        const service = reader.get(services, item.service);
        return service === undefined ? [] : { kind, item, service: withOwnAddresses(service) };
      })
      .sort(
        (left, right) => isForeign(left.service) - isForeign(right.service) || byCreation(left.service, right.service),
      ),
  );
}

type PoliciesOf = (
  waypoint: Waypoint,
  services: NonNullable<PolicySubject["services"]>,
  mesh: MeshSettings,
  reader: CollectionReader,
) => WaypointPolicies;

/** The policies for some services of a waypoint, or for the whole waypoint if no services are given. */
function waypointPolicies(inputs: MeshInputs): PoliciesOf {
  const security = new SecurityPolicies(inputs);
  const telemetry = new TelemetryPolicies(inputs);
  return (waypoint, services, mesh, reader) => {
    const { namespace, gateway, className } = waypoint;
    const labels = {
      ...reader.get(inputs.gateways, `${namespace}/${gateway}`)?.labels,
      [istioLabels.gatewayName]: gateway,
    };
    const subject: PolicySubject = {
      namespace,
      labels,
      gateway: { name: gateway, className },
      waypoint: true,
      services,
    };
    return {
      security: security.filtersFor(subject, mesh, reader, { peer: "filter-state", clearRouteCache: true }),
      telemetry: telemetry.telemetryFor(subject, "waypoint", mesh, reader),
      forwardsClientIdentity: waypoint.forwardsClientIdentity,
    };
  };
}

export function crossesNetworks({ ambientMultiNetwork, ambientNetworkCrossing }: MeshSettings): boolean {
  return ambientMultiNetwork === true && ambientNetworkCrossing?.waypoints !== false;
}

/**
 * A service without addresses of its own gets the assigned ones of both families, because requests to either reach the
 * waypoint.
 */
function withOwnAddresses(service: ServiceModel): ServiceModel {
  return service.addresses.length > 0 ? service : { ...service, addresses: service.automaticAddresses ?? [] };
}

/** Tunnels have access logs only in the format of 2022. The connections inside are logged separately. */
function ofTunnels(services: readonly ServiceModel[], mesh: MeshSettings): readonly AccessLogInit[] {
  if (!writesLogsOf2022(mesh)) return [];
  return tunnelLogsOf2022(
    services.map(({ hostname, addresses, ports }) => ({
      host: hostname,
      addresses,
      ports: ports.map(({ port }) => port),
    })),
    mesh,
  );
}
