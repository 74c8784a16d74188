import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type {
  AuthorizationPolicyFacts,
  GatewayClassFacts,
  GatewayFacts,
  HttpRouteFacts,
  MeshSettings,
  NamespaceFacts,
  NodeFacts,
  PeerAuthenticationFacts,
  PodFacts,
  ReferenceGrantFacts,
  ServiceFacts,
  SliceFacts,
  TagFacts,
} from "./facts.ts";

/** The sources of the model. Keys are `namespace/name`, or the name of what is in no namespace. */
export interface MeshInputs {
  readonly mesh: SourceCollection<MeshSettings>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts>;
  readonly services: SourceCollection<ServiceFacts>;
  readonly slices: SourceCollection<SliceFacts>;
  readonly tags: SourceCollection<TagFacts>;
  readonly gatewayClasses: SourceCollection<GatewayClassFacts>;
  readonly gateways: SourceCollection<GatewayFacts>;
  readonly httpRoutes: SourceCollection<HttpRouteFacts>;
  readonly referenceGrants: SourceCollection<ReferenceGrantFacts>;
  readonly authorizationPolicies: SourceCollection<AuthorizationPolicyFacts>;
  readonly peerAuthentications: SourceCollection<PeerAuthenticationFacts>;
}

export function createMeshInputs(graph: CollectionGraph): MeshInputs {
  const source = <Facts>(name: string): SourceCollection<Facts> => graph.source<Facts>(name, structurallyEqual);
  return {
    mesh: source("mesh"),
    namespaces: source("namespaces"),
    nodes: source("nodes"),
    pods: source("pods"),
    services: source("services"),
    slices: source("endpoint-slices"),
    tags: source("tags"),
    gatewayClasses: source("gateway-classes"),
    gateways: source("gateways"),
    httpRoutes: source("http-routes"),
    referenceGrants: source("reference-grants"),
    authorizationPolicies: source("authorization-policies"),
    peerAuthentications: source("peer-authentications"),
  };
}
