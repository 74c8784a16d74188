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

/** Upstream's defaults for an ambient mesh. */
const defaultHbone: HboneSettings = { sent: true, preferred: false, takenBySidecars: true };

/** The HBONE settings of the mesh. */
export function hboneOf(mesh: Pick<MeshSettings, "hbone"> | undefined): HboneSettings {
  return mesh?.hbone ?? defaultHbone;
}

/** Settings of the mesh and of this control plane. There is one item, under {@link meshKey}. */
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
  /** Set for one proxy: how long its connections with clients may be idle. Absent means Envoy's default, an hour. */
  readonly idleTimeoutMs?: number;
  /** Whether proxies accept requests of HTTP/1.0. Absent means no. */
  readonly acceptsHttp10?: boolean;
  /** From `defaultConfig`. Absent if not set. */
  readonly proxyConcurrency?: number | undefined;
  /** The trust domains of the mesh config's additional authorities. Servers accept clients from these too. */
  readonly trustedDomains: readonly string[];
  /** The networks, from the file beside the mesh config. */
  readonly networks: MeshNetworks;
  /**
   * Which objects are used as gateways into networks. Absent means all with a network's label, as in upstream Istio.
   */
  readonly networkGateways?: NetworkGatewayPolicy;
  /** Whether ambient mode reaches global services in all clusters and networks. Absent means no. */
  readonly ambientMultiNetwork?: boolean;
  /**
   * Which proxies use HBONE within HBONE to enter other networks, in a mesh with several networks. Absent means only
   * waypoints.
   */
  readonly ambientNetworkCrossing?: { readonly waypoints: boolean; readonly ingress: boolean };
  /** Absent means that every cluster discovers the services of all clusters. */
  readonly multiClusterServices?: MultiClusterServices;
  /** Absent means upstream's defaults, as in {@link hboneOf}. */
  readonly hbone?: HboneSettings;
  /** Whether waypoints accept connections whose server name matches a wildcard host. Absent means no. */
  readonly wildcardTlsAtWaypoints?: boolean;
  /** Labels of their workloads that proxies send each other for telemetry. Absent means none. */
  readonly exchangedLabels?: readonly string[];
  /** How many hosts of ALLOW_ANY_DYNAMIC_DNS a sidecar knows at once. Absent means {@link defaultDynamicDnsHosts}. */
  readonly dynamicDnsMaxHosts?: number;
  /** When proxies get endpoints that are not ready. Absent means automatic. */
  readonly unreadyEndpoints?: UnreadyEndpoints;
  /** Whether proxies of Gateways (Gateway API) obey only policies that name the Gateway. Absent means no. */
  readonly gatewaysIgnoreSelectors?: boolean;
  /** Whether Gateways (networking.istio.io) select only proxies of their own namespace. Absent means no. */
  readonly gatewaysStayInNamespace?: boolean;
  /** Absent means the control plane. */
  readonly keySetFetcher?: KeySetFetcher;
  /**
   * Whether a workload may use several external authorizers. Absent means that a request is denied if several
   * authorizers apply to it.
   */
  readonly severalAuthorizers?: boolean;
  /** Limits the TLS of all proxies, whatever else is configured. If absent, there is no such limit. */
  readonly compliance?: CompliancePolicy;
  /** How clients of services keep their sessions. Absent means upstream's defaults, without sessions. */
  readonly sessions?: SessionRules;
  /** Whether the host of mirrored requests gets the suffix `-shadow`. Absent means no. */
  readonly shadowHostSuffix?: boolean;
  readonly rootNamespace: string;
  /** Which Kubernetes Ingresses belong to the mesh, and who serves them. Absent means none. */
  readonly ingress?: IngressSettings;
  readonly clusterId: string;
  /** The network of workloads that do not name one. Usually empty. */
  readonly network: string;
  /** The cluster's DNS domain: `cluster.local`. */
  readonly domain: string;
  readonly connectTimeoutMs: number;
  /** The sampling percentage of traces without any other setting. */
  readonly traceSamplingPercent: number;
  /** Empty means that proxies write no access log. */
  readonly accessLogFile: string;
  /** Empty means the proxy's default format. */
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  /** How proxies normalize paths before they compare them. */
  readonly pathNormalization: PathNormalization;
}

export const meshKey = "mesh";

/**
 * With these settings, other clusters discover an endpoint only if a ServiceExport of its cluster offers the service.
 */
export interface MultiClusterServices {
  /** The API group of ServiceImports that routes name. */
  readonly group: string;
  /** Whether ServiceImports have the host `<service>.<namespace>.svc.clusterset.local`. */
  readonly host: boolean;
  /** Whether hosts in the cluster's domain have only endpoints in the client's cluster. */
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
 * The uid of an object, and empty for one that no API server has stored. An object that is deleted and created again
 * has another uid, and no status. If the model settles once for both events, only the uid shows that the status must be
 * written again.
 */
export type ObjectUid = string;

/** A Kubernetes Ingress. */
export interface IngressFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly createdAt: string;
  /** The class from the deprecated annotation. */
  readonly annotatedClass: string | undefined;
  readonly className: string | undefined;
  readonly tls: readonly { readonly hosts: readonly string[]; readonly secretName: string }[];
  /** The rules. A rule without a host has the host `*`. */
  readonly rules: readonly { readonly host: string; readonly paths: readonly IngressPathFacts[] }[];
}

export interface IngressPathFacts {
  readonly path: string;
  readonly pathType: "Exact" | "Prefix" | "ImplementationSpecific";
  /** Absent if the backend is not a Service. */
  readonly service: string | undefined;
  readonly port: number | string | undefined;
}

export type { Labels };

export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Labels;
  /** The weight for Services without a setting of their own. */
  readonly waypointCanaryWeight?: string | undefined;
  /** The traffic preference of services without a setting of their own. Absent means none. */
  readonly preference?: TrafficPreference;
}

/** Which endpoints a client prefers. */
export type TrafficPreference = "none" | "close" | "node" | "only-node";

export interface NodeFacts {
  readonly name: string;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface PodFacts {
  /** Absent means the cluster of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  readonly node: string;
  readonly serviceAccount: string;
  /**
   * Set if the API server gave the pod no account, as with mirror pods. Every node may create such pods in any
   * namespace and with any labels, so they do not prove which accounts the node may act for. `serviceAccount` is then
   * `default`.
   */
  readonly hasNoAccount?: true;
  /** Whether the pod is ready. False as soon as it is terminating. */
  readonly ready: boolean;
  /** Whether the pod is terminating and still serves. */
  readonly leaving: boolean;
  /** Whether a ztunnel captures the pod's traffic, according to the CNI agent's annotation. */
  readonly redirected: boolean;
  /** The name of the pod's controller, or else of the pod. A label may set another name. */
  readonly workloadName: string;
  /** The pod's sidecar. Gateways and waypoints are not sidecars. */
  readonly sidecar?: SidecarProxyFacts;
  /** The proxy settings of this pod that differ from those of the mesh. */
  readonly proxyConfig?: OwnProxyConfig;
  readonly containerPorts: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface SidecarProxyFacts {
  /**
   * How connections reach the proxy. With NONE, no connection is redirected, and the proxy listens on its own ports.
   */
  readonly interception: "REDIRECT" | "TPROXY" | "NONE";
  /** Whether the proxy also accepts HBONE. */
  readonly hbone: boolean;
  /** Set if the proxy requests the endpoints of its own workload, for zone-aware balancing. */
  readonly selfDiscovery?: true;
}

export interface ServiceFacts {
  /** Absent means the cluster of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly labels: Labels;
  readonly families: readonly string[];
  readonly selector: Labels;
  readonly ports: readonly ServicePortFacts[];
  /** An ExternalName is a DNS alias without addresses, so it is not a destination of its own. */
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly externalName: string;
  /** RFC 3339, to the second. Of two services with one hostname, the older one is used. */
  readonly createdAt: string;
  /**
   * The namespaces that see the service. `.` means its own, `*` all, and `~` none. Empty means the mesh config's
   * default.
   */
  readonly exportTo: readonly string[];
  /** The addresses of the Service's load balancer. Empty until it has any. */
  readonly balancerAddresses: readonly string[];
  /** The service's addresses and names outside the cluster. */
  readonly externalAddresses: readonly string[];
  readonly clusterAddresses: readonly string[];
  readonly preference: TrafficPreference;
  /** Set if the service has no setting of its own, so that its namespace's setting applies. */
  readonly inheritsPreference?: true;
  readonly publishNotReady: boolean;
  /** The value of the Service's annotation for the weight of a waypoint's canary. */
  readonly waypointCanaryWeight?: string | undefined;
}

/** A ServiceExport: a cluster offers its endpoints of the service with this name to other clusters. */
export interface ServiceExportFacts {
  /** Absent means the cluster of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  /** The uid of the Service that owns the export. Empty if none does. */
  readonly ownerUid: ObjectUid;
}

/** A ServiceImport: a cluster reaches the exported service with this name at its own addresses. */
export interface ServiceImportFacts {
  /** Absent means the cluster of the control plane. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty for an import without a host. */
  readonly addresses: readonly string[];
}

export interface ServicePortFacts {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly target: number | string;
  readonly appProtocol: AppProtocol;
  /** Set if ztunnels have no name for its protocol: gRPC-Web, MongoDB, MySQL or Redis. */
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
  /** Endpoints that are terminating and still serve. Absent if there are none. */
  readonly draining?: readonly EndpointFacts[];
}

export interface EndpointFacts {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly node: string;
  /** `namespace/name`. Empty if the endpoint is not a pod. */
  readonly pod: string;
}

/** A configuration object: its name, its precedence, and its checked spec. */
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

/** A revision tag: a webhook configuration that points to a revision. */
export interface TagFacts {
  readonly tag: string;
  readonly revision: string;
}

export interface ServiceAccountFacts {
  readonly namespace: string;
  readonly name: string;
  /** Whether this control plane deploys the Gateway's proxies. */
  readonly managed: boolean;
}

export interface GatewayClassFacts {
  readonly name: string;
  /** The labels and annotations that configure waypoints. All others are left out. */
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly controllerName: string;
}

export interface GatewayFacts extends ConfigFacts<Gateway["spec"]> {
  /** Whether the status shows that some revision has served the object. */
  readonly programmed: boolean;
  /** The addresses of a Gateway into another network. */
  readonly networkAddresses?: readonly string[];
  /**
   * The ports of proxies that somebody else deploys, by the ports of their Service. Listeners on other ports are left
   * out. Absent means the same ports.
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
   * The namespace of the object (such as an Ingress or a Gateway of the Gateway API) from which this one was generated.
   * Absent if a user wrote it.
   */
  readonly author?: string;
}

export interface ServiceEntryFacts extends ConfigFacts<ServiceEntry["spec"]> {
  /** Addresses that a control plane assigned to its hosts. Empty if the entry opts out. */
  readonly allocated?: Readonly<Record<string, readonly string[]>>;
  /** Absent means that the namespace's preference applies. */
  readonly preference?: TrafficPreference;
}

export type SidecarFacts = ConfigFacts<Sidecar["spec"]>;
export interface WorkloadEntryFacts extends ConfigFacts<WorkloadEntry["spec"]> {
  /** Whether the workload has a health probe that has not succeeded yet. */
  readonly unhealthy?: true;
}

export type RequestAuthenticationFacts = ConfigFacts<RequestAuthentication["spec"]>;
export type TelemetryFacts = ConfigFacts<Telemetry["spec"]>;

/** The names of the labels that the mesh config uses to order endpoints for failover. */
export function meshFailoverLabels({
  localityLbSetting,
  zoneAwareLbSetting,
}: Pick<MeshSettings, "localityLbSetting" | "zoneAwareLbSetting">): readonly string[] {
  return [...localityLbSetting.failoverPriority, ...(zoneAwareLbSetting?.failoverPriority ?? [])].map(
    (label) => label.split("=")[0] ?? "",
  );
}

/** `namespace/name`. */
export function factsKey(facts: { readonly namespace: string; readonly name: string }): string {
  return `${facts.namespace}/${facts.name}`;
}

export function hostnameOf(service: { readonly namespace: string; readonly name: string }, domain: string): string {
  return `${service.name}.${service.namespace}.svc.${domain}`;
}

/** Sorts by age, then by name. Istio and Gateway API break ties this way. */
export function byAge(left: ConfigFacts<unknown>, right: ConfigFacts<unknown>): number {
  return compareText(left.createdAt, right.createdAt) || compareText(factsKey(left), factsKey(right));
}

/** Sorts values that are not objects, or objects of several kinds: by age, then by name, then by namespace. */
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
