// The control plane's HTTP reports about its proxies, for clients that wait until a change has arrived
// (docs/contracts/pilot.md).

/** The pod that a proxy's id names: `name.namespace`. Only the name may contain dots. */
export function podOfProxyId(id: string): { readonly name: string; readonly namespace: string } {
  const dot = id.lastIndexOf(".");
  return { name: id.slice(0, Math.max(dot, 0)), namespace: id.slice(dot + 1) };
}

const engineName = "serin-rollout";

/**
 * The id under which the rollout engine asks pilots for debug pages over discovery. While its stream is open, pilots of
 * upstream Istio list it as a proxy.
 */
export function engineId(namespace: string): string {
  return `${engineName}.${namespace}`;
}

export interface ConnectedProxy {
  readonly id: string;
  readonly type: string;
  readonly namespace: string;
  readonly node: string;
  readonly version: string;
  readonly revision: string;
  /** Absent if the pilot's release does not report it. */
  readonly clusterId?: string;
  /**
   * Set if the proxy has not proven its identity: it uses the port without TLS, from another address than that of the
   * pod that it names.
   */
  readonly unproven?: true;
  /** The time at which it connected, in RFC 3339. Empty if it is unknown. */
  readonly connectedAt: string;
  /**
   * The time at which the proxy disconnected, in RFC 3339. Pilots list such proxies only with `?gone=true`, and only
   * for a short while. Their node, version and types are empty. Absent if it is connected.
   */
  readonly goneAt?: string;
  /** Keyed by type URL. `reason` says why the proxy rejected the last push, and is null if it accepted it. */
  readonly types: Readonly<
    Record<
      string,
      { readonly sent: string; readonly acked: string; readonly nacked: string; readonly reason: string | null }
    >
  >;
}

const shortTypes: Readonly<Record<string, string>> = {
  "envoy.config.cluster.v3.Cluster": "CDS",
  "envoy.config.listener.v3.Listener": "LDS",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
  "envoy.config.route.v3.RouteConfiguration": "RDS",
  "envoy.config.route.v3.VirtualHost": "VHDS",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "SDS",
  "envoy.config.core.v3.TypedExtensionConfig": "ECDS",
  "istio.workload.Address": "WDS",
  "istio.workload.Workload": "WDS",
  "istio.mesh.v1alpha1.ProxyConfig": "PCDS",
  "istio.security.Authorization": "WADS",
  "istio.networking.nds.v1.NameTable": "NDS",
};

/** The abbreviation of a type URL's discovery service, for example `CDS`. For other types, the message's name. */
export function shortTypeOf(typeUrl: string): string {
  const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  return shortTypes[type] ?? type;
}

/** The state of one proxy in `/debug/serin/acknowledged`. */
export interface ProxyAcknowledgement {
  readonly id: string;
  readonly type: string;
  readonly connected: boolean;
  readonly acknowledged: boolean;
  readonly rejected: { readonly typeUrl: string; readonly reason: string } | null;
}

export interface AcknowledgementReport {
  readonly revision: string;
  /** Whether the pilot has processed the asked version of the object, or a later one. */
  readonly processed: boolean;
  readonly proxies: readonly ProxyAcknowledgement[];
}

/**
 * On a WorkloadEntry, beside `istio.io/workloadController`: the cluster, namespace and name of that replica's pod,
 * separated by slashes.
 */
export const workloadControllerPodAnnotation = "serin.dev/workload-controller-pod";

/**
 * The annotation on the Secret of the next root. Its value is the stage that all control planes follow
 * (docs/contracts/rollout.md).
 */
export const authorityStageAnnotation = "rollout.serin.dev/ca-stage";
/** The stages of a root rotation. `none` means that no rotation is under way. */
export const authorityStages = ["none", "trust", "issue", "only", "done"] as const;
export type AuthorityStage = (typeof authorityStages)[number];

/** The answer of `/debug/serin/roots`. Certificates are identified by their SHA-256 in lower-case hex. */
export interface RootsReport {
  readonly revision: string;
  readonly stage: AuthorityStage;
  /** The root of the certificates that it signs. */
  readonly signing: string;
  /** All roots that it distributes as trusted, the signing root first. */
  readonly trusted: readonly string[];
  /**
   * The connected proxies. Each has the certificates that this pilot has signed for it since the pilot's start. Another
   * replica may have signed more.
   */
  readonly proxies: readonly ProxyRoots[];
}

export interface ProxyRoots {
  readonly id: string;
  readonly type: string;
  /** The last certificate of each identity. Empty if the proxy requested none from this pilot. */
  readonly certificates: readonly {
    readonly identity: string;
    readonly root: string;
    readonly trusted: readonly string[];
    /** RFC 3339. */ readonly notAfter: string;
  }[];
}
