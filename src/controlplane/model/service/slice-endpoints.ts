import { istioLabels } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import type { EndpointFacts, MeshSettings, PodFacts, ServiceFacts, SliceFacts } from "../facts.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { mutualTlsModeOf, peerAuthenticationsFor, workloadMutualTls } from "../peer-authentication.ts";
import {
  identityOf,
  localityFromLabel,
  nowhere,
  workloadText,
  type Discoverability,
  type EndpointModel,
} from "./service-endpoint-model.ts";
import { keepsDraining } from "./service-session.ts";
import { isCaptured, takesHbone } from "./tunnel-servers.ts";

export interface EndpointContext {
  readonly mesh: MeshSettings;
  readonly inputs: MeshInputs;
  readonly reader: CollectionReader;
}

interface SliceContext extends EndpointContext {
  readonly view: ClusterView;
  readonly discoverable: Discoverability | undefined;
}

/** The endpoints of a slice for one port, of which at most the given number is read. */
export function sliceEndpoints(
  slice: SliceFacts,
  service: ServiceFacts,
  target: number,
  most: number,
  context: SliceContext,
): readonly EndpointModel[] {
  const { discoverable, view } = context;
  const modelsOf = (endpoint: EndpointFacts): readonly EndpointModel[] => {
    const pod = endpoint.pod === "" ? undefined : view.pod(endpoint.pod);
    // While the pod is unknown, leave the endpoint out: without the pod's labels, clients would send plain text.
    if (pod === undefined && endpoint.pod !== "") return [];
    return endpoint.addresses.map((address) => {
      const found =
        pod === undefined
          ? addressEndpoint(address, target, endpoint.node, view)
          : podEndpoint(pod, address, target, view, context);
      return discoverable === undefined ? found : { ...found, discoverable };
    });
  };
  const models: EndpointModel[] = [];
  const add = (
    endpoints: readonly EndpointFacts[],
    changesOf: (endpoint: EndpointFacts) => Partial<EndpointModel> | undefined,
  ): void => {
    for (const endpoint of endpoints) {
      if (models.length >= most) return;
      const changes = changesOf(endpoint);
      for (const model of modelsOf(endpoint).slice(0, most - models.length))
        models.push(changes === undefined ? model : { ...model, ...changes });
    }
  };
  add(slice.endpoints, ({ ready }) => (ready || service.publishNotReady ? undefined : { unready: true }));
  const sessions = keepsDraining(service, context.mesh) ? ({ draining: true } as const) : {};
  add(slice.draining ?? [], () => ({ ...sessions, terminating: true }));
  return models;
}

/**
 * Returns a function that finds the target port of a service's port by the port's name. A slice follows its Service
 * with a delay, so a port that was renamed is found by its number, among those of the slice's ports whose names the
 * Service does not have.
 */
export function targetPorts(slice: SliceFacts, service: ServiceFacts): (portName: string) => number | undefined {
  const byName = new Map(slice.ports.toReversed().map(({ name, port }) => [name, port]));
  const targets = new Map(service.ports.toReversed().map(({ name, target }) => [name, target]));
  const renamed = new Set<number | string | undefined>(
    slice.ports.flatMap(({ name, port }) => (targets.has(name) ? [] : port)),
  );
  return (portName) => {
    const target = targets.get(portName);
    return byName.get(portName) ?? (typeof target === "number" && renamed.has(target) ? target : undefined);
  };
}

function addressEndpoint(address: string, port: number, node: string, view: ClusterView): EndpointModel {
  const place = {
    locality: view.node(node) ?? nowhere,
    network: view.networkOf(address, {}),
    clusterId: view.id,
    node,
  };
  return {
    address,
    port,
    labels: {},
    identity: "",
    mutualTls: false,
    hbone: false,
    captured: false,
    ...place,
    weight: 1,
    workload: "",
  };
}

export function podEndpoint(
  pod: PodFacts,
  address: string,
  port: number,
  view: ClusterView,
  { mesh, inputs, reader }: EndpointContext,
): EndpointModel {
  const node = view.node(pod.node);
  return {
    address,
    port,
    labels: pod.labels,
    identity: identityOf(mesh, pod.namespace, pod.serviceAccount),
    mutualTls: pod.labels[istioLabels.tlsMode] === "istio" && takesMutualTls(pod, port, mesh, inputs, reader),
    hbone: takesHbone(pod),
    captured: isCaptured(pod),
    locality:
      localityFromLabel(pod.labels) ??
      (node === undefined ? nowhere : { region: node.region, zone: node.zone, subzone: node.subzone }),
    network: view.networkOf(address, pod.labels),
    clusterId: view.id,
    node: pod.node,
    weight: 1,
    workload: workloadText(pod.workloadName, pod.namespace, pod.labels, view.id),
    ...(!pod.hostNetwork && pod.addresses.includes(address) ? { ofPod: true } : {}),
  };
}

/** Whether PeerAuthentications allow Istio's mutual TLS on the workload's port. */
function takesMutualTls(
  pod: PodFacts,
  port: number,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  const policies = peerAuthenticationsFor(pod, mesh.rootNamespace, inputs, reader);
  return (
    policies.length === 0 || mutualTlsModeOf(workloadMutualTls(pod, mesh.rootNamespace, policies), port) !== "DISABLE"
  );
}
