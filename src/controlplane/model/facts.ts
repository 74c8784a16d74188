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
import type { KeySetFetcher } from "./request-authentication-keys.ts";

/**
 * The facts that the model keeps of each object: only what translation reads, so that other changes of an object have
 * no effect.
 */

/** Who uses HBONE among proxies whose metadata allow it (ENABLE_HBONE). Waypoints and ztunnels always do. */
export interface HboneSettings {
  /** Sidecars and gateways speak it to workloads that take nothing else of the mesh's. */
  readonly sent: boolean;
  /** And to those that take Istio's mutual TLS as well. */
  readonly preferred: boolean;
  /** Sidecars take it. */
  readonly takenBySidecars: boolean;
}

/** Upstream's of an ambient mesh. */
const defaultHbone: HboneSettings = { sent: true, preferred: false, takenBySidecars: true };

/** Who speaks HBONE in the mesh. */
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
      | "defaultHttpRetryPolicy"
      | "defaultTrafficPolicy"
      | "serviceSettings"
      | "serviceScopeConfigs"
      | "serviceEntryVisibility"
    >,
    Pick<
      ProxyConfig,
      "gatewayTopology" | "meshId" | "proxyHeaders" | "proxyMetadata" | "tracing" | "tracingServiceName"
    > {
  readonly trustDomain: string;
  /** From `defaultConfig`. Absent: not set. */
  readonly proxyConcurrency?: number | undefined;
  /** Roots of further authorities. Servers accept their clients. */
  readonly trustedDomains: readonly string[];
  /** From the file beside the mesh config. */
  readonly networks: MeshNetworks;
  /** Ambient reaches global services in all clusters and networks. Absent: it does not. */
  readonly ambientMultiNetwork?: boolean;
  /**
   * Which proxies enter other networks by HBONE within HBONE in a mesh with several networks. Absent: only waypoints.
   */
  readonly ambientNetworkCrossing?: { readonly waypoints: boolean; readonly ingress: boolean };
  /** Absent: upstream's defaults, of {@link hboneOf}. */
  readonly hbone?: HboneSettings;
  /** Waypoints accept connections whose server name is a host of a wildcard. Absent: they do not. */
  readonly wildcardTlsAtWaypoints?: boolean;
  /** Absent: the control plane. */
  readonly keySetFetcher?: KeySetFetcher;
  /** A workload may ask several authorizers; absent: what they would be asked about is denied. */
  readonly severalAuthorizers?: boolean;
  readonly rootNamespace: string;
  /** Which Ingresses of Kubernetes are the mesh's, and who serves them. Absent: none are. */
  readonly ingress?: IngressSettings;
  readonly clusterId: string;
  /** The network of workloads that name none. Usually empty. */
  readonly network: string;
  /** The cluster's DNS domain: `cluster.local`. */
  readonly domain: string;
  readonly connectTimeoutMs: number;
  /** The sampling of traces if nothing else sets it. */
  readonly traceSamplingPercent: number;
  /** Empty: proxies write none. */
  readonly accessLogFile: string;
  /** Empty: the proxy's own. */
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  /** How proxies write paths before they compare them. */
  readonly pathNormalization: PathNormalization;
}
export const meshKey = "mesh";

export interface IngressSettings {
  readonly mode: MeshConfig["ingressControllerMode"];
  /** The value of the annotation `kubernetes.io/ingress.class` that means this mesh. */
  readonly className: string;
  /** The Service of the ingress gateway, whose addresses an Ingress gets. */
  readonly service: string;
  /** The value of its pods' label `istio`. Absent: as the Service is named. */
  readonly selector?: string | undefined;
  /** Of the Service, and of the secrets that Ingresses name. */
  readonly namespace: string;
}

/** An Ingress of Kubernetes. */
export interface IngressFacts {
  readonly namespace: string;
  readonly name: string;
  readonly createdAt: string;
  /** As the old annotation says it. */
  readonly annotatedClass: string | undefined;
  readonly className: string | undefined;
  readonly tls: readonly { readonly hosts: readonly string[]; readonly secretName: string }[];
  /** A rule without a host has `*`. */
  readonly rules: readonly { readonly host: string; readonly paths: readonly IngressPathFacts[] }[];
}

export interface IngressPathFacts {
  readonly path: string;
  readonly pathType: "Exact" | "Prefix" | "ImplementationSpecific";
  /** Absent: the backend is no Service. */
  readonly service: string | undefined;
  readonly port: number | string | undefined;
}

export type Labels = Readonly<Record<string, string>>;

export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Labels;
  /** The weight for Services that set none themselves. */
  readonly waypointCanaryWeight?: string | undefined;
  /** The preference for services that set none. Absent: none. */
  readonly preference?: TrafficPreference;
}

/** Where traffic should go first. */
export type TrafficPreference = "none" | "close" | "node" | "only-node";

export interface NodeFacts {
  readonly name: string;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface PodFacts {
  /** Absent: of the cluster that the control plane runs in. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  readonly node: string;
  readonly serviceAccount: string;
  /** Not while it is about to end. */
  readonly ready: boolean;
  /** It is about to end, and still serves. */
  readonly leaving: boolean;
  /** Its traffic is captured by a ztunnel (annotation of the CNI agent). */
  readonly redirected: boolean;
  readonly workloadName: string;
  readonly workloadType: "deployment" | "cronjob" | "job" | "pod";
  /** The sidecar that the pod has; gateways and waypoints are no sidecars. */
  readonly sidecar?: SidecarProxyFacts;
  /** What its proxy has otherwise than the mesh. */
  readonly proxyConfig?: OwnProxyConfig;
  readonly containerPorts: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface SidecarProxyFacts {
  /** How connections reach it. NONE: no redirect, it listens on ports of its own. */
  readonly interception: "REDIRECT" | "TPROXY" | "NONE";
  /** It takes HBONE too. */
  readonly hbone: boolean;
}

export interface ServiceFacts {
  /** Absent: of the cluster that the control plane runs in. */
  readonly clusterId?: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly families: readonly string[];
  readonly selector: Labels;
  readonly ports: readonly ServicePortFacts[];
  /** An ExternalName is a DNS alias without addresses, so it is not a destination of its own. */
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly externalName: string;
  /** RFC 3339, to the second: the older of two services with one hostname counts. */
  readonly createdAt: string;
  /** The namespaces that see it (`.` its own, `*` all, `~` none). Empty: as the mesh config says. */
  readonly exportTo: readonly string[];
  /** The addresses of its load balancer, once it has some. */
  readonly balancerAddresses: readonly string[];
  /** Addresses and names that it has outside of the cluster. */
  readonly externalAddresses: readonly string[];
  readonly clusterAddresses: readonly string[];
  readonly preference: TrafficPreference;
  /** It has no setting, and its namespace may have one. */
  readonly inheritsPreference?: true;
  readonly publishNotReady: boolean;
  /** As the annotation says it. */
  readonly waypointCanaryWeight?: string | undefined;
}

export interface ServicePortFacts {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly target: number | string;
  readonly appProtocol: AppProtocol;
  /** Its declared protocol has no counterpart for ztunnels: gRPC-Web, MongoDB, MySQL or Redis. */
  readonly unnamedProtocol?: true;
}

/** As Istio selects it: by `appProtocol`, else by the port's name. */
export type AppProtocol = "unknown" | "http" | "http2" | "grpc" | "tcp" | "tls";

export interface SliceFacts {
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` of its Service. */
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly EndpointFacts[];
}

export interface EndpointFacts {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly node: string;
  /** `namespace/name`; empty when it is no pod. */
  readonly pod: string;
}

/** A configuration object: its name, its precedence, and its checked spec. */
export interface ConfigFacts<Spec> {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly createdAt: string;
  readonly generation: number;
  readonly spec: Spec;
}

/** A revision tag: a webhook configuration that leads to a revision. */
export interface TagFacts {
  readonly tag: string;
  readonly revision: string;
}

export interface ServiceAccountFacts {
  readonly namespace: string;
  readonly name: string;
  /** Made for the proxies of a Gateway. */
  readonly managed: boolean;
}

export interface GatewayClassFacts {
  readonly name: string;
  /** Of both only what waypoints are told by. */
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly controllerName: string;
}

export interface GatewayFacts extends ConfigFacts<Gateway["spec"]> {
  /** Its status says that it has served, in some revision. */
  readonly programmed: boolean;
  /** The address of a Gateway that is the entry to a network. */
  readonly networkAddresses?: readonly string[];
  /** If somebody else's proxies serve the Gateway: their ports by the Gateway's own. Absent: the same ports. */
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
export type IstioGatewayFacts = ConfigFacts<IstioGateway["spec"]>;
export interface ServiceEntryFacts extends ConfigFacts<ServiceEntry["spec"]> {
  /** Addresses that a control plane has assigned to its hosts. Empty if it wants none. */
  readonly allocated?: Readonly<Record<string, readonly string[]>>;
  /** Absent: it says nothing of it, and its namespace may. */
  readonly preference?: TrafficPreference;
}
export type SidecarFacts = ConfigFacts<Sidecar["spec"]>;
export interface WorkloadEntryFacts extends ConfigFacts<WorkloadEntry["spec"]> {
  /** It is probed, and no probe has found it healthy. */
  readonly unhealthy?: true;
}
export type RequestAuthenticationFacts = ConfigFacts<RequestAuthentication["spec"]>;
export type TelemetryFacts = ConfigFacts<Telemetry["spec"]>;

/** `namespace/name`. */
export function factsKey(facts: { readonly namespace: string; readonly name: string }): string {
  return `${facts.namespace}/${facts.name}`;
}

export function hostnameOf(service: { readonly namespace: string; readonly name: string }, domain: string): string {
  return `${service.name}.${service.namespace}.svc.${domain}`;
}

/** Older first, then by name: how Istio and Gateway API break ties. */
export function byAge(left: ConfigFacts<unknown>, right: ConfigFacts<unknown>): number {
  return compareText(left.createdAt, right.createdAt) || compareText(factsKey(left), factsKey(right));
}

/** The same for what is no object, or of several kinds: of one age the names count before the namespaces. */
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
