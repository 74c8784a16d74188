import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type { GatewayFacts, NamespaceFacts, NodeFacts, PodFacts, ServiceFacts, SliceFacts } from "./facts.ts";

/**
 * The objects of the clusters that remote secrets name. Keys are {@link remoteKey}s. Configuration is only read from
 * the own cluster.
 */
export interface RemoteInputs {
  /** By id. A cluster appears after its first complete read. */
  readonly clusters: SourceCollection<RemoteClusterFacts>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts & OfCluster>;
  readonly services: SourceCollection<ServiceFacts & OfCluster>;
  readonly slices: SourceCollection<SliceFacts & OfCluster>;
  /** Only Gateways that describe a network's gateway are used. */
  readonly gateways: SourceCollection<GatewayFacts & OfCluster>;
}

export interface OfCluster {
  readonly clusterId: string;
}

export interface RemoteClusterFacts {
  readonly id: string;
}

/** `cluster/namespace/name`, or `cluster/name` for cluster-scoped objects. */
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
