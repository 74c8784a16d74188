import { istioAnnotations, istioLabels } from "../../../api/istio/index.ts";
import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { Labels, PodFacts } from "../facts.ts";
import { waypointsManagedBy } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import type { EndpointNetworks } from "../networks.ts";
import type { EndpointModel } from "./service-endpoint-model.ts";

/** Whether the workload itself accepts HBONE, by its label. */
export function tunnelsItself(labels: Labels): boolean {
  return labels[istioLabels.tunnel]?.split(",").includes("http") === true;
}

/** Whether a workload that is not a pod accepts HBONE, itself or through a ztunnel. */
export function isTunnelled(labels: Labels, annotations: Labels): boolean {
  return tunnelsItself(labels) || annotations[istioAnnotations.ambientRedirection] === "enabled";
}

/** Whether the pod accepts HBONE: through a ztunnel, itself, or as a waypoint. */
export function takesHbone(pod: PodFacts): boolean {
  return isCaptured(pod) || pod.labels[istioLabels.gatewayManaged] === waypointsManagedBy;
}

/** Whether the pod accepts HBONE, and it or its ztunnel reports its telemetry. */
export function isCaptured(pod: PodFacts): boolean {
  return pod.redirected || tunnelsItself(pod.labels);
}

/**
 * The endpoint without its tunnel, for a cluster that resolves names. An Envoy accepts no tunnelled endpoint in such a
 * cluster.
 */
export function withoutTunnel(endpoint: EndpointModel): EndpointModel {
  return endpoint.hbone ? { ...endpoint, hbone: false, captured: false } : endpoint;
}

/**
 * Finds the pods that accept HBONE by their addresses. A user may list the address of a pod without naming the pod, in
 * an EndpointSlice, a ServiceEntry or a WorkloadEntry. As in upstream Istio, clients also use HBONE then, because a pod
 * with strict mutual TLS accepts nothing else.
 */
export class TunnelServers {
  readonly #byAddress: CollectionIndex<PodFacts>;

  constructor({ pods }: Pick<MeshInputs, "pods">) {
    // All pods on a node's network have the same address, so leave them out.
    this.#byAddress = pods.index("tunnel-address", (pod) => (takesHbone(pod) && !pod.hostNetwork ? pod.addresses : []));
  }

  /** The endpoint, reached through HBONE if a pod with its address and network accepts HBONE. */
  reach(endpoint: EndpointModel, networkOf: EndpointNetworks, reader: CollectionReader): EndpointModel {
    // A pod's own endpoint already says whether the pod accepts HBONE.
    if (endpoint.hbone || endpoint.ofPod === true || endpoint.port === 0) return endpoint;
    const server = reader
      .lookup(this.#byAddress, endpoint.address)
      .find(({ labels }) => networkOf(endpoint.address, labels) === endpoint.network);
    return server === undefined ? endpoint : { ...endpoint, hbone: true, captured: isCaptured(server) };
  }
}
