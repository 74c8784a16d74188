import { istioLabels } from "../../api/istio/index.ts";
import type { Collection, CollectionReader } from "../../kube/index.ts";
import { meshKey, type MeshSettings, type NamespaceFacts, type NodeFacts, type PodFacts } from "./facts.ts";
import { memos } from "./memos.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { endpointNetworks, type EndpointNetworks } from "./networks.ts";
import { remoteKey } from "./remote-inputs.ts";

export interface ClusterView {
  readonly id: string;
  readonly networkOf: EndpointNetworks;
  pod(key: string): PodFacts | undefined;
  node(name: string): NodeFacts | undefined;
}

/** The pods and nodes of a cluster. `clusterId` is undefined for the cluster in which the control plane runs. */
export function clusterView(
  clusterId: string | undefined,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): ClusterView {
  const keyOf = (key: string): string => (clusterId === undefined ? key : remoteKey(clusterId, key));
  const { pods, nodes, namespaces } = sourcesOf(clusterId, inputs);
  const label = networkLabelOf(reader.get(namespaces, keyOf(mesh.rootNamespace)));
  return {
    id: clusterId ?? mesh.clusterId,
    networkOf: endpointNetworks(
      clusterId ?? mesh.clusterId,
      label === "" && clusterId === undefined ? mesh.network : label,
      mesh.networks,
    ),
    pod: (key) => reader.get(pods, keyOf(key)),
    node: (name) => (name === "" ? undefined : reader.get(nodes, keyOf(name))),
  };
}

interface ClusterSources {
  readonly pods: Collection<PodFacts>;
  readonly nodes: Collection<NodeFacts>;
  readonly namespaces: Collection<NamespaceFacts>;
}

function sourcesOf(clusterId: string | undefined, inputs: MeshInputs): ClusterSources {
  return clusterId === undefined ? inputs : inputs.remote;
}

function networkLabelOf(namespace: NamespaceFacts | undefined): string {
  return namespace?.labels[istioLabels.network] ?? "";
}

/**
 * The default network of workloads in the control plane's own cluster: the root namespace's label, or else this control
 * plane's setting.
 */
export function localNetwork(mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader): string {
  return networkLabelOf(reader.get(inputs.namespaces, mesh.rootNamespace)) || mesh.network;
}

/** The mesh settings with {@link localNetwork} filled in. */
export function localMesh(inputs: MeshInputs, reader: CollectionReader): MeshSettings | undefined {
  const mesh = reader.get(inputs.mesh, meshKey);
  if (mesh === undefined) return undefined;
  const network = localNetwork(mesh, inputs, reader);
  if (network === mesh.network) return mesh;
  const known = settled.get(mesh);
  if (known?.network === network) return known;
  const found = { ...mesh, network };
  settled.set(mesh, found);
  return found;
}

const settled = memos.memo<MeshSettings, MeshSettings>("local-mesh");

export function remoteNetwork(
  clusterId: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): string {
  return networkLabelOf(reader.get(inputs.remote.namespaces, remoteKey(clusterId, mesh.rootNamespace)));
}
