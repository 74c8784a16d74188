import { matchesLabels } from "../../../api/index.ts";
import { endpointShare, unixPrefix, type IstioPort } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  meshKey,
  type Labels,
  type MeshSettings,
  type PodFacts,
  type ServiceEntryFacts,
  type WorkloadEntryFacts,
} from "../facts.ts";
import { labelKeys, rarestKey } from "../selection.ts";
import { clusterView, type ClusterView } from "../cluster-view.ts";
import { memos } from "../memos.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { workloadEntriesByLabel, workloadEntryLabels } from "../workload-entry.ts";
import { endpointsKey, type EndpointModel } from "./service-endpoint-model.ts";
import { podLabelKeys, podsByLabel, podsSelectedBy } from "./selected-pods.ts";
import { isAddress } from "../ip-address.ts";
import { firstByName } from "./crowded-services.ts";
import { entryEndpoints, JoinedEndpoints, workloadEntryEndpoint } from "./service-entry-endpoints.ts";
import { entriesOfHost, hostIn, hostServiceKey, type EntryHosts } from "./service-entry-host.ts";
import { isTcp, racesAddresses } from "./service-entry-model.ts";
import { TunnelServers, withoutTunnel } from "./tunnel-servers.ts";
import { podEndpoint } from "./slice-endpoints.ts";
import { sortedEndpoints, withDraining } from "./sorted-endpoints.ts";

/** The endpoints of all ServiceEntries with the host and namespace of a Service, by `namespace/host`. */
export function deriveAddedEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  hosts: EntryHosts,
): Collection<PortEndpoints> {
  const endpointsOf = entryEndpointsReader(inputs);
  return graph.derive("endpoints-added", hosts.keys, (key, reader): Iterable<readonly [string, PortEndpoints]> => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const [namespace = "", host = ""] = key.split("/");
    const suffix = `.${namespace}.svc.${mesh.domain}`.toLowerCase();
    const name = host.endsWith(suffix) ? host.slice(0, -suffix.length) : "";
    if (name === "" || reader.get(inputs.services, `${namespace}/${name}`) === undefined) return [];
    const { all } = entriesOfHost(key, hosts, mesh, reader);
    return [[key, all.flatMap((entry) => endpointsOf(entry, false, hostIn(entry, key), mesh, reader))]];
  });
}

/** Whether endpoint discovery may send the endpoint. Envoy does not resolve host names there, and so rejects them. */
export function isDiscoverable({ address, port }: EndpointModel): boolean {
  return port === 0 || isAddress(address);
}

export function deriveEntryEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  hosts: EntryHosts,
): Collection<readonly EndpointModel[]> {
  const endpointsOf = entryEndpointsReader(inputs);
  return graph.derive(
    "endpoints-entries",
    hosts.keys,
    (key, reader): Iterable<readonly [string, readonly EndpointModel[]]> => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const { services, all } = entriesOfHost(key, hosts, mesh, reader);
      // Endpoints are read at most twice: for clusters that resolve names, and for all others. Most hosts need only one
      // of these.
      const found = new Map<boolean, PortEndpoints>();
      return services.flatMap(({ entries, variant }) => {
        const [oldest] = entries;
        if (oldest === undefined) return [];
        const byName = looksUpNames(oldest);
        const endpoints =
          found.get(byName) ?? all.flatMap((entry) => endpointsOf(entry, byName, hostIn(entry, key), mesh, reader));
        found.set(byName, endpoints);
        return [...joinedEndpoints(entries, endpoints)].map(
          ([port, own]) =>
            [
              endpointsKey(hostServiceKey(key, variant), port),
              sortedEndpoints(withDraining(own, oldest, mesh)),
            ] as const,
        );
      });
    },
  );
}

export type PortEndpoints = readonly (readonly [port: IstioPort, endpoints: readonly EndpointModel[]])[];

/**
 * The endpoints of a service's ports, from all entries of its host. As in upstream, ports are the same if their numbers
 * and names are equal. If several ports have the same number, the first one's name counts.
 */
function joinedEndpoints(
  entries: readonly ServiceEntryFacts[],
  endpoints: PortEndpoints,
): ReadonlyMap<number, readonly EndpointModel[]> {
  const names = new Map<number, string>();
  for (const { name = "", number } of entries.flatMap(({ spec }) => spec.ports.filter(isTcp)))
    if (!names.has(number)) names.set(number, name);
  // Whether the proxy resolves one name at a time. It refuses a cluster with several names then.
  const isOneName = entries[0]?.spec.resolution === "DNS_ROUND_ROBIN" || racesAddresses(entries);
  const joined = new Map<number, JoinedEndpoints>();
  for (const [{ name = "", number }, own] of endpoints) {
    if (names.get(number) !== name || own.length === 0) continue;
    const known = joined.get(number);
    if (known === undefined) joined.set(number, new JoinedEndpoints(isOneName ? own.slice(0, 1) : own));
    else if (!isOneName) known.add(own);
  }
  return new Map([...names.keys()].map((number) => [number, joined.get(number)?.endpoints ?? []]));
}

function looksUpNames({ spec: { resolution } }: ServiceEntryFacts): boolean {
  return resolution === "DNS" || resolution === "DNS_ROUND_ROBIN" || resolution === "DYNAMIC_DNS";
}

/** Reads the endpoints of each port of a ServiceEntry, except those that a cluster of its host may not have. */
function entryEndpointsReader(inputs: MeshInputs) {
  const pods = podsByLabel(inputs);
  const remotePods = inputs.remote.pods.index("label", podLabelKeys);
  const servers = new TunnelServers(inputs);
  /**
   * Reads the endpoints of an entry. `isByName` says whether the clusters of the host resolve names, which another
   * entry of the host may decide.
   */
  return (
    entry: ServiceEntryFacts,
    isByName: boolean,
    host: string,
    mesh: MeshSettings,
    reader: CollectionReader,
  ): PortEndpoints => {
    const selector = entry.spec.workloadSelector?.labels ?? {};
    const view = clusterView(undefined, mesh, inputs, reader);
    const most = endpointShare(entry.spec.hosts.length * entry.spec.ports.length);
    const workloads = firstByName(selectedWorkloadEntries(entry.namespace, selector, inputs, reader), most);
    const selectedPods = firstByName(
      [
        ...podsSelectedBy(pods, entry.namespace, selector, reader),
        ...podsSelectedBy(remotePods, entry.namespace, selector, reader),
      ].filter((pod) => pod.ready && pod.addresses.length > 0),
      most - workloads.length,
    );
    const viewOf = ({ clusterId }: PodFacts): ClusterView =>
      clusterId === undefined ? view : clusterView(clusterId, mesh, inputs, reader);
    return entry.spec.ports.filter(isTcp).map((port) => {
      const target = { name: port.name ?? "", port: port.number, target: port.targetPort ?? 0 };
      const found = [
        ...[
          ...entryEndpoints(entry, host, target, mesh, view.networkOf),
          ...workloads.flatMap((workload) => workloadEntryEndpoint(workload, target, mesh, view.networkOf) ?? []),
        ].map((endpoint) => (isByName ? withoutTunnel(endpoint) : servers.reach(endpoint, view.networkOf, reader))),
        ...selectedPods.map((pod) =>
          podEndpoint(pod, pod.addresses[0] ?? "", target.target === 0 ? target.port : target.target, viewOf(pod), {
            mesh,
            inputs,
            reader,
          }),
        ),
      ];
      // A proxy refuses a cluster that resolves names and has sockets of the file system. So leave out such sockets.
      return [port, found.filter(isByName ? (endpoint) => endpoint.port !== 0 : isDiscoverable)] as const;
    });
  };
}

/**
 * The healthy WorkloadEntries that a selector matches. As in upstream, entries with a socket of the file system are
 * left out. Only the `endpoints` of a ServiceEntry may name sockets, which are then in the client's own file system.
 */
export function selectedWorkloadEntries(
  namespace: string,
  selector: Labels,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly WorkloadEntryFacts[] {
  const entries = workloadEntriesByLabel(inputs);
  const rarest = rarestKey(entries, labelKeys(namespace, selector));
  if (rarest === undefined) return [];
  const candidates = reader.lookup(entries, rarest);
  return candidates.length === 0
    ? candidates
    : selectedEntries.of(candidates, JSON.stringify(selector), () =>
        candidates.filter(
          (entry) =>
            entry.unhealthy !== true &&
            entry.spec.address?.startsWith(unixPrefix) !== true &&
            matchesLabels(selector, workloadEntryLabels(entry)),
        ),
      );
}

/**
 * The entries of a label that a selector matches, by selector. They are cached, because each host of a ServiceEntry
 * reads the same ones.
 */
const selectedEntries = memos.keyed<readonly WorkloadEntryFacts[], readonly WorkloadEntryFacts[]>(
  "selected-workload-entries",
);
