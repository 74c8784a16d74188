import type {
  HboneSettings,
  KeySetFetcher,
  NetworkGatewayPolicy,
  SessionRules,
  UnreadyEndpoints,
} from "../../api/pilot-settings/index.ts";
import type {
  AuthorizationPolicy,
  DestinationRule,
  IstioGateway,
  MeshConfig,
  MeshNetworks,
  OwnProxyConfig,
  PathNormalization,
  PeerAuthentication,
  ProxyConfig,
  RequestAuthentication,
  ServiceEntry,
  Sidecar,
  Telemetry,
  VirtualService,
  WorkloadEntry,
} from "../../api/istio/index.ts";
import type {
  BackendTlsPolicy,
  Gateway,
  GrpcRoute,
  HttpRoute,
  ListenerSet,
  ReferenceGrant,
  TcpRoute,
  TlsRoute,
  UdpRoute,
} from "../../api/gateway/index.ts";
import type { CompliancePolicy } from "../../base/compliance/index.ts";
import type { Labels } from "../../api/index.ts";

// The part of each object that translation reads. Changes of other fields have no effect.

const defaultHbone: HboneSettings = { sent: true, preferred: false, takenBySidecars: true };

export function hboneOf(mesh: Pick<MeshSettings, "hbone"> | undefined): HboneSettings {
  return mesh?.hbone ?? defaultHbone;
}

/** Settings of the mesh and of this control plane. The only item has the key {@link meshKey}. */
export interface MeshSettings
  extends
    Pick<
      MeshConfig,
      | "enableAutoMtls"
      | "outboundTrafficPolicy"
      | "outboundTrafficTls"
      | "defaultServiceExportTo"
      | "defaultVirtualServiceExportTo"
      | "defaultDestinationRuleExportTo"
      | "h2UpgradePolicy"
      | "dnsRefreshRateMs"
      | "protocolDetectionTimeoutMs"
      | "trustDomainAliases"
      | "extensionProviders"
      | "defaultAccessLogProviders"
      | "defaultMetricsProviders"
      | "defaultTracingProviders"
      | "disableEnvoyListenerLog"
      | "enableTracing"
      | "tcpKeepalive"
      | "meshMutualTls"
      | "tlsDefaults"
      | "proxyListenPort"
      | "proxyInboundListenPort"
      | "inboundTrafficPolicy"
      | "localityLbSetting"
      | "zoneAwareLbSetting"
      | "defaultHttpRetryPolicy"
      | "defaultTrafficPolicy"
      | "serviceSettings"
      | "serviceScopeConfigs"
      | "serviceEntryVisibility"
    >,
    Pick<
      ProxyConfig,
      | "connectionSettings"
      | "gatewayTopology"
      | "meshId"
      | "proxyHeaders"
      | "proxyMetadata"
      | "proxyStatsMatcher"
      | "tracing"
      | "tracingServiceName"
    > {
  readonly trustDomain: string;
  /**
   * How long a proxy's connections with clients may be idle. Set only for a proxy with this setting of its own. Absent
   * means Envoy's default, an hour.
   */
  readonly idleTimeoutMs?: number;
  /** Whether proxies accept requests of HTTP/1.0. Absent means no. */
  readonly acceptsHttp10?: boolean;
  /** The number of threads of proxies, from `defaultConfig`. */
  readonly proxyConcurrency?: number | undefined;
  /** The trust domains of the mesh config's additional authorities. Servers also accept clients from these. */
  readonly trustedDomains: readonly string[];
  /** The networks, from the file beside the mesh config. */
  readonly networks: MeshNetworks;
  /**
   * Which objects are used as gateways into networks. Absent means all objects with a network's label, as in upstream
   * Istio.
   */
  readonly networkGateways?: NetworkGatewayPolicy;
  /** Whether ambient mode reaches global services in all clusters and networks. Absent means no. */
  readonly ambientMultiNetwork?: boolean;
  /**
   * Which proxies enter other networks by HBONE within HBONE, in an ambient mesh with several networks. Absent means
   * only waypoints.
   */
  readonly ambientNetworkCrossing?: { readonly waypoints: boolean; readonly ingress: boolean };
  /**
   * How the Multi-Cluster Services API applies. Absent means that every cluster discovers the services of all clusters.
   */
  readonly multiClusterServices?: MultiClusterServices;
  /** Which proxies use HBONE. Absent means upstream's defaults, as in {@link hboneOf}. */
  readonly hbone?: HboneSettings;
  /** Whether waypoints accept connections whose server name matches a wildcard host. Absent means no. */
  readonly wildcardTlsAtWaypoints?: boolean;
  /** The labels of their workloads that proxies send each other for telemetry. Absent means none. */
  readonly exchangedLabels?: readonly string[];
  /**
   * The maximum number of hosts of ALLOW_ANY_DYNAMIC_DNS that a sidecar keeps at once. Absent means {@link
   * defaultDynamicDnsHosts}.
   */
  readonly dynamicDnsMaxHosts?: number;
  /** Whether proxies get endpoints that are not ready. Absent means automatic. */
  readonly unreadyEndpoints?: UnreadyEndpoints;
  /** Whether proxies of Gateways (Gateway API) obey only policies that name the Gateway. Absent means no. */
  readonly gatewaysIgnoreSelectors?: boolean;
  /** Whether Gateways (networking.istio.io) select only proxies of their own namespace. Absent means no. */
  readonly gatewaysStayInNamespace?: boolean;
  /** Who fetches key sets. Absent means the control plane. */
  readonly keySetFetcher?: KeySetFetcher;
  /**
   * Whether a workload may use several external authorizers. Absent means that a request is denied if several
   * authorizers apply to it.
   */
  readonly severalAuthorizers?: boolean;
  /** Limits the TLS of all proxies, whatever else is configured. Absent means no limit. */
  readonly compliance?: CompliancePolicy;
  /** How clients of services keep their sessions. Absent means upstream's defaults, without sessions. */
  readonly sessions?: SessionRules;
  /** Whether the host of mirrored requests gets the suffix `-shadow`. Absent means no. */
  readonly shadowHostSuffix?: boolean;
  readonly rootNamespace: string;
  /** Which Kubernetes Ingresses belong to the mesh, and who serves them. Absent means none. */
  readonly ingress?: IngressSettings;
  readonly clusterId: string;
  /** The network of workloads that name none. Usually empty. */
  readonly network: string;
  /** The cluster's DNS domain, for example `cluster.local`. */
  readonly domain: string;
  readonly connectTimeoutMs: number;
  /** The percentage of requests that are traced if nothing else sets one. */
  readonly traceSamplingPercent: number;
  /** The file of the proxies' access log. Empty means that they write none. */
  readonly accessLogFile: string;
  /** The format of the access log. Empty means the proxy's default. */
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  readonly pathNormalization: PathNormalization;
}

export const meshKey = "mesh";

/**
 * Settings with which other clusters discover an endpoint only if a ServiceExport of its own cluster offers the
 * service.
 */
export interface MultiClusterServices {
  /** The API group by which routes name ServiceImports. */
  readonly group: string;
  /** Whether ServiceImports get the host `<service>.<namespace>.svc.clusterset.local`. */
  readonly host: boolean;
  /** Whether hosts in the cluster's domain have only endpoints in the client's own cluster. */
  readonly clusterLocal: boolean;
}

export interface IngressSettings {
  readonly mode: MeshConfig["ingressControllerMode"];
  /** The value of the annotation `kubernetes.io/ingress.class` that selects this mesh. */
  readonly className: string;
  /** The ingress gateway's Service. Its addresses become the status of an Ingress. */
  readonly service: string;
  /** The value of the label `istio` of the gateway's pods. Absent means the Service's name. */
  readonly selector?: string | undefined;
  /** The namespace of the Service and of the secrets that Ingresses name. */
  readonly namespace: string;
}

/**
 * An object's uid, or empty if no API server has stored the object. An object that is deleted and created again has
 * another uid and no status. If the model settles only after both events, only the uid shows that the status must be
 * written again.
 */
export type ObjectUid = string;

export interface IngressFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly createdAt: string;
  /** The class that the deprecated annotation names. */
  readonly annotatedClass: string | undefined;
  readonly className: string | undefined;
  readonly tls: readonly { readonly hosts: readonly string[]; readonly secretName: string }[];
  /** A rule without a host has the host `*`. */
  readonly rules: readonly { readonly host: string; readonly paths: readonly IngressPathFacts[] }[];
}

export interface IngressPathFacts {
  readonly path: string;
  readonly pathType: "Exact" | "Prefix" | "ImplementationSpecific";
  /** The backend's Service. Absent if the backend is something else. */
  readonly service: string | undefined;
  readonly port: number | string | undefined;
}

export type { Labels };

export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Labels;
  /** The weight of a waypoint's canary, for Services without a setting of their own. */
  readonly waypointCanaryWeight?: string | undefined;
  /** The traffic preference of services without a setting of their own. Absent means none. */
  readonly preference?: TrafficPreference;
}

export type TrafficPreference = "none" | "close" | "node" | "only-node";

export interface NodeFacts {
  readonly name: string;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface PodFacts {
  /** The pod's cluster. Absent means that of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  readonly node: string;
  readonly serviceAccount: string;
  /**
   * Set if the API server gave the pod no account, as it does for mirror pods. `serviceAccount` is then `default`.
   * Every node may create such pods in any namespace and with any labels, so they do not prove which accounts the node
   * may act for.
   */
  readonly hasNoAccount?: true;
  /** Whether the pod is ready. It is not ready from the beginning of its termination. */
  readonly ready: boolean;
  /** Whether the pod is terminating but still serves. */
  readonly leaving: boolean;
  /** Whether a ztunnel captures the pod's traffic, as the CNI agent's annotation says. */
  readonly redirected: boolean;
  /** The name of the pod's controller, or else of the pod, unless a label sets another name. */
  readonly workloadName: string;
  /** The pod's sidecar. Absent for gateways and waypoints, whose proxies are no sidecars. */
  readonly sidecar?: SidecarProxyFacts;
  /** The pod's proxy settings that differ from the mesh's. */
  readonly proxyConfig?: OwnProxyConfig;
  readonly containerPorts: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface SidecarProxyFacts {
  /** How connections reach the proxy. With NONE, nothing is redirected, and the proxy listens on ports of its own. */
  readonly interception: "REDIRECT" | "TPROXY" | "NONE";
  readonly hbone: boolean;
  /** Set if the proxy requests the endpoints of its own workload, for zone-aware balancing. */
  readonly selfDiscovery?: true;
}

export interface ServiceFacts {
  /** The Service's cluster. Absent means that of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly labels: Labels;
  readonly families: readonly string[];
  readonly selector: Labels;
  readonly ports: readonly ServicePortFacts[];
  /** An ExternalName is a DNS alias without addresses, so it is no destination itself. */
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly externalName: string;
  /** The time of creation in RFC 3339, to the second. Of two services with one hostname, the older one is used. */
  readonly createdAt: string;
  /**
   * The namespaces that see the service. `.` means its own, `*` all, and `~` none. Empty means the mesh config's
   * default.
   */
  readonly exportTo: readonly string[];
  /** The addresses of the Service's load balancer. Empty as long as it has none. */
  readonly balancerAddresses: readonly string[];
  /** Addresses and names outside the cluster. */
  readonly externalAddresses: readonly string[];
  readonly clusterAddresses: readonly string[];
  readonly preference: TrafficPreference;
  /** Set if the Service has no setting of its own. Its namespace's setting then applies. */
  readonly inheritsPreference?: true;
  readonly publishNotReady: boolean;
  /** The weight of the waypoint's canary, as the Service's annotation gives it. */
  readonly waypointCanaryWeight?: string | undefined;
}

/** A ServiceExport: its cluster offers its endpoints of the service of this name to other clusters. */
export interface ServiceExportFacts {
  /** The export's cluster. Absent means that of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  /** The uid of the Service that owns the export. Empty if none does. */
  readonly ownerUid: ObjectUid;
}

/** A ServiceImport: its cluster reaches the exported service of this name at addresses of its own. */
export interface ServiceImportFacts {
  /** The import's cluster. Absent means that of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  /** The import's addresses. Empty if it has none. */
  readonly addresses: readonly string[];
}

export interface ServicePortFacts {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly target: number | string;
  readonly appProtocol: AppProtocol;
  /** Set if ztunnels have no name for the port's protocol: gRPC-Web, MongoDB, MySQL or Redis. */
  readonly unnamedProtocol?: true;
}

/** A port's protocol by Istio's protocol selection: by `appProtocol`, or else by the port's name. */
export type AppProtocol = "unknown" | "http" | "http2" | "grpc" | "tcp" | "tls";

export interface SliceFacts {
  readonly namespace: string;
  readonly name: string;
  /** The slice's Service, as `namespace/name`. */
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly EndpointFacts[];
  /** Endpoints that are terminating but still serve. Absent if there are none. */
  readonly draining?: readonly EndpointFacts[];
}

export interface EndpointFacts {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly node: string;
  /** The endpoint's pod, as `namespace/name`. Empty if the endpoint is not a pod. */
  readonly pod: string;
}

export interface ConfigFacts<Spec> {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly createdAt: string;
  readonly generation: number;
  readonly spec: Spec;
}

/** A revision tag, which is a webhook configuration that points to a revision. */
export interface TagFacts {
  readonly tag: string;
  readonly revision: string;
}

export interface ServiceAccountFacts {
  readonly namespace: string;
  readonly name: string;
  readonly managed: boolean;
}

export interface GatewayClassFacts {
  readonly name: string;
  /** The labels that configure waypoints. Other labels and annotations are left out. */
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly controllerName: string;
}

export interface GatewayFacts extends ConfigFacts<Gateway["spec"]> {
  /** Whether the status says that some revision has served the object. */
  readonly programmed: boolean;
  /** The addresses of a Gateway that describes a gateway into another network. */
  readonly networkAddresses?: readonly string[];
  /**
   * The ports on which proxies listen that the user deploys, by the ports of their Service. Listeners on other ports
   * are left out. Absent means that both ports are the same.
   */
  readonly targetPorts?: ReadonlyMap<number, number>;
}

export type HttpRouteFacts = ConfigFacts<HttpRoute["spec"]>;
export type GrpcRouteFacts = ConfigFacts<GrpcRoute["spec"]>;
export type TlsRouteFacts = ConfigFacts<TlsRoute["spec"]>;
export type TcpRouteFacts = ConfigFacts<TcpRoute["spec"]>;
export type UdpRouteFacts = ConfigFacts<UdpRoute["spec"]>;
export type ListenerSetFacts = ConfigFacts<ListenerSet["spec"]>;
export type BackendTlsPolicyFacts = ConfigFacts<BackendTlsPolicy["spec"]>;
export type ReferenceGrantFacts = ConfigFacts<ReferenceGrant["spec"]>;
export type AuthorizationPolicyFacts = ConfigFacts<AuthorizationPolicy["spec"]>;
export type PeerAuthenticationFacts = ConfigFacts<PeerAuthentication["spec"]>;
export type VirtualServiceFacts = ConfigFacts<VirtualService["spec"]>;
export type DestinationRuleFacts = ConfigFacts<DestinationRule["spec"]>;
export interface IstioGatewayFacts extends ConfigFacts<IstioGateway["spec"]> {
  /**
   * The namespace of the object (an Ingress or a Gateway of the Gateway API) from which this one was generated. Absent
   * if a user wrote it.
   */
  readonly author?: string;
}

export interface ServiceEntryFacts extends ConfigFacts<ServiceEntry["spec"]> {
  /** The addresses that a control plane assigned, by host. Empty if the entry opts out. */
  readonly allocated?: Readonly<Record<string, readonly string[]>>;
  /** The traffic preference. Absent means that the namespace's applies. */
  readonly preference?: TrafficPreference;
}

export type SidecarFacts = ConfigFacts<Sidecar["spec"]>;
export interface WorkloadEntryFacts extends ConfigFacts<WorkloadEntry["spec"]> {
  /** Set while the workload has a health probe that has not succeeded yet. */
  readonly unhealthy?: true;
}

export type RequestAuthenticationFacts = ConfigFacts<RequestAuthentication["spec"]>;
export type TelemetryFacts = ConfigFacts<Telemetry["spec"]>;

export function meshFailoverLabels({
  localityLbSetting,
  zoneAwareLbSetting,
}: Pick<MeshSettings, "localityLbSetting" | "zoneAwareLbSetting">): readonly string[] {
  return [...localityLbSetting.failoverPriority, ...(zoneAwareLbSetting?.failoverPriority ?? [])].map(
    (label) => label.split("=")[0] ?? "",
  );
}

/** The key `namespace/name`. */
export function factsKey(facts: { readonly namespace: string; readonly name: string }): string {
  return `${facts.namespace}/${facts.name}`;
}

export function hostnameOf(service: { readonly namespace: string; readonly name: string }, domain: string): string {
  return `${service.name}.${service.namespace}.svc.${domain}`;
}

/** Sorts by age, then by name, as Istio and the Gateway API break ties. */
export function byAge(left: ConfigFacts<unknown>, right: ConfigFacts<unknown>): number {
  return compareText(left.createdAt, right.createdAt) || compareText(factsKey(left), factsKey(right));
}

/** Sorts items that are no configuration objects, or of several kinds: by age, then by name, then by namespace. */
export function byCreation(
  left: { readonly createdAt: string; readonly name: string; readonly namespace: string },
  right: { readonly createdAt: string; readonly name: string; readonly namespace: string },
): number {
  return (
    compareText(left.createdAt, right.createdAt) ||
    compareText(left.name, right.name) ||
    compareText(left.namespace, right.namespace)
  );
}

export function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
