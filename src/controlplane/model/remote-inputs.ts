import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type { GatewayFacts, NamespaceFacts, NodeFacts, PodFacts, ServiceFacts, SliceFacts } from "./facts.ts";

/**
 * The objects of the clusters that remote secrets name. Keys are {@link remoteKey}s. Configuration comes only from the
 * own cluster.
 */
export interface RemoteInputs {
  /** By id. A cluster appears when it has been read once. */
  readonly clusters: SourceCollection<RemoteClusterFacts>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts & OfCluster>;
  readonly services: SourceCollection<ServiceFacts & OfCluster>;
  readonly slices: SourceCollection<SliceFacts & OfCluster>;
  /** Only those that stand for a network's gateway are used. */
  readonly gateways: SourceCollection<GatewayFacts & OfCluster>;
}

export interface OfCluster {
  readonly clusterId: string;
}

export interface RemoteClusterFacts {
  readonly id: string;
}

/** `cluster/namespace/name`, or `cluster/name` of what is in no namespace. */
export function remoteKey(clusterId: string, key: string): string {
  return `${clusterId}/${key}`;
}

export function createRemoteInputs(graph: CollectionGraph): RemoteInputs {
  const source = <Facts>(name: string): SourceCollection<Facts> =>
    graph.source<Facts>(`remote-${name}`, structurallyEqual);
  return {
    clusters: source("clusters"),
    namespaces: source("namespaces"),
    nodes: source("nodes"),
    pods: source("pods"),
    services: source("services"),
    slices: source("endpoint-slices"),
    gateways: source("gateways"),
  };
}
