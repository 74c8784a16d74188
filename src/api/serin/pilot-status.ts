// The control plane's HTTP reports about its proxies, for clients that wait until a change has arrived
// (docs/contracts/pilot.md).

/** The pod that a proxy's id names: `name.namespace`. Names of pods may contain dots, and namespaces none. */
export function podOfProxyId(id: string): { readonly name: string; readonly namespace: string } {
  const dot = id.lastIndexOf(".");
  return { name: id.slice(0, Math.max(dot, 0)), namespace: id.slice(dot + 1) };
}

const engineName = "serin-rollout";

/**
 * The id by which the rollout engine asks pilots for debug pages over discovery. Pilots of upstream Istio list it as a
 * proxy as long as its stream is open.
 */
export function engineId(namespace: string): string {
  return `${engineName}.${namespace}`;
}

/** One element of `/debug/serin/proxies`. */
export interface ConnectedProxy {
  readonly id: string;
  readonly type: string;
  readonly namespace: string;
  readonly node: string;
  readonly version: string;
  readonly revision: string;
  /** Absent if the release does not report it. */
  readonly clusterId?: string;
  /**
   * Set if the proxy has not proven its identity. It then uses the port without TLS, from another address than the pod
   * that it names.
   */
  readonly unproven?: true;
  /** The time of the connection, in RFC 3339. Empty if it is unknown. */
  readonly connectedAt: string;
  /**
   * Set if the proxy has disconnected: the time in RFC 3339. Such proxies are listed only with `?gone=true`, and only
   * for a short while. Their node, version and types are empty.
   */
  readonly goneAt?: string;
  /** Keyed by type URL. `reason` is why the last push was rejected. null if it was accepted. */
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

/** The name of a type URL's discovery service, for example `CDS`. For other types, the message's name. */
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

/** The answer of `/debug/serin/acknowledged`. */
export interface AcknowledgementReport {
  readonly revision: string;
  /** Whether the model contains that version of the object, or a later one. */
  readonly processed: boolean;
  readonly proxies: readonly ProxyAcknowledgement[];
}

/**
 * Set on a WorkloadEntry beside `istio.io/workloadController`: the cluster, namespace and name of that replica's pod,
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
  /** The stage that this pilot has reached. */
  readonly stage: AuthorityStage;
  /** The root of the certificates that it signs. */
  readonly signing: string;
  /** All roots that it distributes as trusted, the signing root first. */
  readonly trusted: readonly string[];
  /**
   * The connected proxies, each with the certificates that this pilot has signed for it since its start. Another
   * replica may have signed more.
   */
  readonly proxies: readonly ProxyRoots[];
}

export interface ProxyRoots {
  readonly id: string;
  readonly type: string;
  /** The last certificate of each identity. Empty if no certificate was requested from this pilot. */
  readonly certificates: readonly {
    readonly identity: string;
    readonly root: string;
    readonly trusted: readonly string[];
    /** RFC 3339. */ readonly notAfter: string;
  }[];
}
