import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type {
  AuthorizationPolicyFacts,
  BackendTlsPolicyFacts,
  DestinationRuleFacts,
  GatewayClassFacts,
  GatewayFacts,
  GrpcRouteFacts,
  HttpRouteFacts,
  IngressFacts,
  IstioGatewayFacts,
  ListenerSetFacts,
  MeshSettings,
  NamespaceFacts,
  NodeFacts,
  PeerAuthenticationFacts,
  PodFacts,
  ReferenceGrantFacts,
  RequestAuthenticationFacts,
  ServiceAccountFacts,
  ServiceEntryFacts,
  ServiceExportFacts,
  ServiceFacts,
  ServiceImportFacts,
  SidecarFacts,
  SliceFacts,
  TagFacts,
  TcpRouteFacts,
  TelemetryFacts,
  TlsRouteFacts,
  UdpRouteFacts,
  VirtualServiceFacts,
  WorkloadEntryFacts,
} from "./facts.ts";
import type { ConfigMapFacts } from "./config-map-facts.ts";
import { createExtensionInputs, type ExtensionInputs } from "./extension-inputs.ts";
import type { KeySetFacts } from "./request-authentication-keys.ts";
import { createRemoteInputs, type RemoteInputs } from "./remote-inputs.ts";
import type { SecretFacts } from "./secret-facts.ts";

/** The sources of the model. Keys are `namespace/name`, or the name of a cluster-scoped object. */
export interface MeshInputs {
  readonly mesh: SourceCollection<MeshSettings>;
  readonly namespaces: SourceCollection<NamespaceFacts>;
  /** Namespaces whose objects are not read, because no discovery selector of the mesh config matches the namespace. */
  readonly excludedNamespaces: SourceCollection<true>;
  readonly nodes: SourceCollection<NodeFacts>;
  readonly pods: SourceCollection<PodFacts>;
  readonly services: SourceCollection<ServiceFacts>;
  readonly slices: SourceCollection<SliceFacts>;
  /** The ServiceExports of all clusters. A remote cluster's have a {@link remoteKey}. */
  readonly serviceExports: SourceCollection<ServiceExportFacts>;
  /** The ServiceImports of all clusters. A remote cluster's have a {@link remoteKey}. */
  readonly serviceImports: SourceCollection<ServiceImportFacts>;
  readonly serviceAccounts: SourceCollection<ServiceAccountFacts>;
  readonly tags: SourceCollection<TagFacts>;
  /** The default validator, if there is one. */
  readonly defaultValidators: SourceCollection<Pick<TagFacts, "revision">>;
  readonly gatewayClasses: SourceCollection<GatewayClassFacts>;
  readonly ingresses: SourceCollection<IngressFacts>;
  readonly ingressClasses: SourceCollection<{ readonly controller: string }>;
  readonly gateways: SourceCollection<GatewayFacts>;
  readonly httpRoutes: SourceCollection<HttpRouteFacts>;
  readonly grpcRoutes: SourceCollection<GrpcRouteFacts>;
  readonly tlsRoutes: SourceCollection<TlsRouteFacts>;
  readonly tcpRoutes: SourceCollection<TcpRouteFacts>;
  readonly udpRoutes: SourceCollection<UdpRouteFacts>;
  readonly listenerSets: SourceCollection<ListenerSetFacts>;
  readonly backendTlsPolicies: SourceCollection<BackendTlsPolicyFacts>;
  readonly referenceGrants: SourceCollection<ReferenceGrantFacts>;
  readonly authorizationPolicies: SourceCollection<AuthorizationPolicyFacts>;
  readonly peerAuthentications: SourceCollection<PeerAuthenticationFacts>;
  readonly virtualServices: SourceCollection<VirtualServiceFacts>;
  readonly destinationRules: SourceCollection<DestinationRuleFacts>;
  readonly istioGateways: SourceCollection<IstioGatewayFacts>;
  readonly serviceEntries: SourceCollection<ServiceEntryFacts>;
  readonly sidecars: SourceCollection<SidecarFacts>;
  readonly workloadEntries: SourceCollection<WorkloadEntryFacts>;
  readonly requestAuthentications: SourceCollection<RequestAuthenticationFacts>;
  readonly telemetries: SourceCollection<TelemetryFacts>;
  readonly extensions: ExtensionInputs;
  /** Key sets that this control plane has fetched, by {@link KeySource.id}. */
  readonly keySets: SourceCollection<KeySetFacts>;
  /** The Secrets that configuration refers to. */
  readonly secrets: SourceCollection<SecretFacts>;
  /** The ConfigMaps that configuration refers to. */
  readonly configMaps: SourceCollection<ConfigMapFacts>;
  readonly remote: RemoteInputs;
  /** The addresses of network gateways that are given by DNS name, as this control plane resolved them. */
  readonly resolvedNames: SourceCollection<{ readonly addresses: readonly string[] }>;
}

export function createMeshInputs(graph: CollectionGraph): MeshInputs {
  const source = <Facts>(name: string): SourceCollection<Facts> => graph.source<Facts>(name, structurallyEqual);
  const serviceExports = source<ServiceExportFacts>("service-exports");
  const serviceImports = source<ServiceImportFacts>("service-imports");
  return {
    mesh: source("mesh"),
    namespaces: source("namespaces"),
    excludedNamespaces: source("excluded-namespaces"),
    nodes: source("nodes"),
    pods: source("pods"),
    services: source("services"),
    slices: source("endpoint-slices"),
    serviceExports,
    serviceImports,
    serviceAccounts: source("service-accounts"),
    tags: source("tags"),
    defaultValidators: source("default-validators"),
    gatewayClasses: source("gateway-classes"),
    ingresses: source("ingresses"),
    ingressClasses: source("ingress-classes"),
    gateways: source("gateways"),
    httpRoutes: source("http-routes"),
    grpcRoutes: source("grpc-routes"),
    tlsRoutes: source("tls-routes"),
    tcpRoutes: source("tcp-routes"),
    udpRoutes: source("udp-routes"),
    listenerSets: source("listener-sets"),
    backendTlsPolicies: source("backend-tls-policies"),
    referenceGrants: source("reference-grants"),
    authorizationPolicies: source("authorization-policies"),
    peerAuthentications: source("peer-authentications"),
    virtualServices: source("virtual-services"),
    destinationRules: source("destination-rules"),
    istioGateways: source("istio-gateways"),
    serviceEntries: source("service-entries"),
    sidecars: source("sidecars"),
    workloadEntries: source("workload-entries"),
    requestAuthentications: source("request-authentications"),
    telemetries: source("telemetries"),
    extensions: createExtensionInputs(graph),
    keySets: source("key-sets"),
    secrets: source("secrets"),
    configMaps: source("config-maps"),
    remote: createRemoteInputs(graph, { serviceExports, serviceImports }),
    resolvedNames: source("resolved-names"),
  };
}
