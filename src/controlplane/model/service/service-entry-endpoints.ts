import { istioLabels, unixPrefix, type WorkloadEntrySpec } from "../../../api/istio/index.ts";
import type { Labels, MeshSettings, ServiceEntryFacts, WorkloadEntryFacts } from "../facts.ts";
import { isAddress } from "../ip-address.ts";
import type { EndpointNetworks } from "../networks.ts";
import { portNamed, workloadEntryLabels, workloadNameOfEntry } from "../workload-entry.ts";
import {
  identityOf,
  localityFromLabel,
  localityFromText,
  nowhere,
  workloadText,
  type EndpointModel,
} from "./service-endpoint-model.ts";
import { isTunnelled } from "./tunnel-servers.ts";

/** A port of the service. If `target` is 0, it is the service's own port number. */
export interface EndpointTarget {
  readonly name: string;
  readonly port: number;
  readonly target: number;
}

/** The endpoints of a ServiceEntry. For an entry with DNS resolution and without endpoints, this is its host. */
export function entryEndpoints(
  entry: ServiceEntryFacts,
  host: string,
  port: EndpointTarget,
  mesh: MeshSettings,
  networkOf: EndpointNetworks,
): readonly EndpointModel[] {
  const { endpoints, resolution, workloadSelector } = entry.spec;
  if (endpoints.length > 0) {
    const workloads = endpoints.map((spec, index) => ({
      namespace: entry.namespace,
      name: `${entry.name}-${index}`,
      labels: spec.labels,
      annotations: entry.annotations,
      spec,
    }));
    return workloads.flatMap((workload) => endpointOf(workload, port, mesh, networkOf) ?? []);
  }
  if (
    workloadSelector !== undefined ||
    (resolution !== "DNS" && resolution !== "DNS_ROUND_ROBIN" && resolution !== "DYNAMIC_DNS")
  )
    return [];
  const hostItself = { address: host.toLowerCase(), ports: {}, labels: {} };
  const found = endpointOf(
    { namespace: entry.namespace, name: entry.name, labels: {}, annotations: entry.annotations, spec: hostItself },
    port,
    mesh,
    networkOf,
  );
  return found === undefined ? [] : [found];
}

export function workloadEntryEndpoint(
  entry: WorkloadEntryFacts,
  port: EndpointTarget,
  mesh: MeshSettings,
  networkOf: EndpointNetworks,
): EndpointModel | undefined {
  return endpointOf(
    {
      namespace: entry.namespace,
      name: workloadNameOfEntry(entry),
      labels: workloadEntryLabels(entry),
      annotations: entry.annotations,
      spec: entry.spec,
    },
    port,
    mesh,
    networkOf,
  );
}

interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly spec: WorkloadEntrySpec;
}

/** The endpoint of a workload. Undefined if the workload has no address, because it is in another network. */
function endpointOf(
  { namespace, name, labels, annotations, spec }: Workload,
  port: EndpointTarget,
  mesh: MeshSettings,
  networkOf: EndpointNetworks,
): EndpointModel | undefined {
  if (spec.address === undefined) return undefined;
  const isSocket = spec.address.startsWith(unixPrefix);
  const tlsMode = labels[istioLabels.tlsMode];
  const tunnelled = !isSocket && isAddress(spec.address) && isTunnelled(labels, annotations);
  return {
    address: isSocket ? spec.address.slice(unixPrefix.length) : spec.address,
    port: isSocket ? 0 : (portNamed(spec.ports, port.name) ?? (port.target === 0 ? port.port : port.target)),
    labels,
    identity: spec.serviceAccount === undefined ? "" : identityOf(mesh, namespace, spec.serviceAccount),
    mutualTls: tlsMode === undefined ? spec.serviceAccount !== undefined : tlsMode === "istio",
    hbone: tunnelled,
    captured: tunnelled,
    locality: spec.locality === undefined ? (localityFromLabel(labels) ?? nowhere) : localityFromText(spec.locality),
    network: spec.network ?? networkOf(spec.address, labels),
    clusterId: mesh.clusterId,
    node: "",
    weight: spec.weight ?? 1,
    workload: workloadText(name, namespace, labels, mesh.clusterId),
  };
}

/**
 * Joins the endpoints of a port from several objects. An endpoint of a later object is left out if an earlier one has
 * its address.
 */
export class JoinedEndpoints {
  readonly endpoints: EndpointModel[];
  readonly #known: Set<string>;

  constructor(first: readonly EndpointModel[]) {
    this.endpoints = [...first];
    this.#known = new Set(first.map(addressText));
  }

  add(others: readonly EndpointModel[]): this {
    for (const endpoint of others) {
      if (this.#known.has(addressText(endpoint))) continue;
      this.#known.add(addressText(endpoint));
      this.endpoints.push(endpoint);
    }
    return this;
  }
}

/** Identifies an endpoint. Several networks may use the same addresses, so the text contains the network. */
function addressText({ address, network, port }: EndpointModel): string {
  return `${network} ${address} ${port}`;
}
