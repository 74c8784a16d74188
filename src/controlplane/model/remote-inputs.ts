import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type {
  GatewayFacts,
  NamespaceFacts,
  NodeFacts,
  PodFacts,
  ServiceExportFacts,
  ServiceFacts,
  ServiceImportFacts,
  SliceFacts,
} from "./facts.ts";

/**
 * Objects of the clusters that remote secrets name. Keys are {@link remoteKey}s. Configuration is read only from the
 * control plane's own cluster.
 */
export interface RemoteInputs extends SharedInputs {
  /** The remote clusters, by id. A cluster appears after its first complete read. */
  readonly clusters: SourceCollection<RemoteClusterFacts>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts & OfCluster>;
  readonly services: SourceCollection<ServiceFacts & OfCluster>;
  readonly slices: SourceCollection<SliceFacts & OfCluster>;
  /** The Gateways, of which only those that describe a network's gateway are used. */
  readonly gateways: SourceCollection<GatewayFacts & OfCluster>;
}

/** Sources with the objects of all clusters, because these describe the whole mesh. */
interface SharedInputs {
  readonly serviceExports: SourceCollection<ServiceExportFacts>;
  readonly serviceImports: SourceCollection<ServiceImportFacts>;
}

export interface OfCluster {
  readonly clusterId: string;
}

export interface RemoteClusterFacts {
  readonly id: string;
}

/** The key `cluster/namespace/name`, or `cluster/name` for a cluster-scoped object. */
export function remoteKey(clusterId: string, key: string): string {
  return `${clusterId}/${key}`;
}

export function createRemoteInputs(graph: CollectionGraph, shared: SharedInputs): RemoteInputs {
  const source = <Facts>(name: string): SourceCollection<Facts> =>
    graph.source<Facts>(`remote-${name}`, structurallyEqual);
  return {
    ...shared,
    clusters: source("clusters"),
    namespaces: source("namespaces"),
    nodes: source("nodes"),
    pods: source("pods"),
    services: source("services"),
    slices: source("endpoint-slices"),
    gateways: source("gateways"),
  };
}
