export const istioLabels = {
  revision: "istio.io/rev",
  tag: "istio.io/tag",
  injection: "istio-injection",
  /** With the value "false", the pod gets no sidecar. An annotation of the same name means the same. */
  inject: "sidecar.istio.io/inject",
  dataplaneMode: "istio.io/dataplane-mode",
  useWaypoint: "istio.io/use-waypoint",
  useWaypointNamespace: "istio.io/use-waypoint-namespace",
  useWaypointCanary: "istio.io/use-waypoint-canary",
  useWaypointCanaryNamespace: "istio.io/use-waypoint-canary-namespace",
  waypointFor: "istio.io/waypoint-for",
  ingressUseWaypoint: "istio.io/ingress-use-waypoint",
  canonicalName: "service.istio.io/canonical-name",
  canonicalRevision: "service.istio.io/canonical-revision",
  /** Sets the name of the workload of a pod or a WorkloadEntry. */
  workloadName: "service.istio.io/workload-name",
  /** The value is "istio" on pods whose sidecar accepts mutual TLS. */
  tlsMode: "security.istio.io/tlsMode",
  /** The value is "http" on pods whose proxy accepts HBONE. */
  tunnel: "networking.istio.io/tunnel",
  network: "topology.istio.io/network",
  subzone: "topology.istio.io/subzone",
  gatewayName: "gateway.networking.k8s.io/gateway-name",
  gatewayClassName: "gateway.networking.k8s.io/gateway-class-name",
  gatewayManaged: "gateway.istio.io/managed",
  enableAutoallocateIp: "networking.istio.io/enable-autoallocate-ip",
  /** Names the component of an installation that an object belongs to, such as `Pilot`. */
  component: "operator.istio.io/component",
  /** Names the IstioOperator from which an object was installed. */
  owningResource: "install.operator.istio.io/owning-resource",
  owningResourceNamespace: "install.operator.istio.io/owning-resource-namespace",
  /**
   * With the value "true", an object stays when its installation no longer contains it. It is still removed together
   * with the whole installation.
   */
  owningResourceNotPruned: "install.operator.istio.io/owning-resource-not-pruned",
} as const;

/** The revision of objects without a revision label. A tag of this name points to the cluster's default revision. */
export const defaultRevision = "default";

/**
 * The labels `istio.io/rev` of a Gateway or route, and of its namespace. They decide which revision owns the object.
 */
export interface RevisionLabels {
  readonly own: string | undefined;
  readonly namespace: string | undefined;
}

/**
 * The revision that owns a Gateway or a route. Its own label comes first, then its namespace's label, then the
 * cluster's default. `revisionOf` returns the revision that a tag points to. It returns undefined for a name that is
 * not a tag.
 */
export function resolveRevision(
  { own, namespace }: RevisionLabels,
  revisionOf: (tag: string) => string | undefined,
): string {
  const named = own ?? namespace ?? defaultRevision;
  return revisionOf(named) ?? named;
}

/**
 * The webhook configuration that validates objects without a revision label. The label on this configuration names the
 * cluster's default revision.
 */
export const defaultValidatorName = "istiod-default-validator";

/** Annotations of the waypoints of 2022, which had the class `istio-mesh`. */
export const meshWaypointAnnotations = {
  serviceAccount: "istio.io/service-account",
} as const;

export const istioAnnotations = {
  /**
   * With the value "true", operators ignore an IstioOperator. istioctl before 1.24 stored the spec that it had
   * installed in such an object.
   */
  ignoreReconcile: "install.istio.io/ignoreReconcile",
  useWaypointCanaryWeight: "istio.io/use-waypoint-canary-weight",
  /** What injection added to a pod. A pod that has this annotation has a sidecar. */
  sidecarStatus: "sidecar.istio.io/status",
  injectTemplates: "inject.istio.io/templates",
  interceptionMode: "sidecar.istio.io/interceptionMode",
  ambientRedirection: "ambient.istio.io/redirection",
  serviceAccountName: "gateway.istio.io/service-account",
  connectStrategy: "istio.io/connect-strategy",
  trafficDistribution: "networking.istio.io/traffic-distribution",
  waypointInboundBinding: "ambient.istio.io/waypoint-inbound-binding",
  clientIdentityInXfcc: "ambient.istio.io/xfcc-include-client-identity",
  healthChecksEnabled: "proxy.istio.io/health-checks-enabled",
  autoRegistrationGroup: "istio.io/autoRegistrationGroup",
  workloadController: "istio.io/workloadController",
  connectedAt: "istio.io/connectedAt",
  disconnectedAt: "istio.io/disconnectedAt",
  proxyConfig: "proxy.istio.io/config",
} as const;

/** Where pods find the mesh's root: in a ConfigMap or a ClusterTrustBundle. */
export interface RootPlace {
  readonly clusterTrustBundle: boolean;
  /** `global.trustBundleName`. Empty means the ConfigMap's or the bundle's default name. */
  readonly trustBundleName: string;
}

/** The source of the volume with the mesh's root. Without it, a pod does not start. */
export function rootSource({ clusterTrustBundle, trustBundleName }: RootPlace) {
  const named = (fallback: string): string => (trustBundleName === "" ? fallback : trustBundleName);
  if (!clusterTrustBundle) return { configMap: { name: named("istio-ca-root-cert") } };
  const bundle = { name: `istio.io:istiod-ca:${named("root-cert")}`, path: "root-cert.pem" };
  return { projected: { sources: [{ clusterTrustBundle: bundle }] } };
}

/** The volume with the token that proves a component's service account to the CA and to the xDS server. */
export function istioTokenVolume(audience: string) {
  const serviceAccountToken = { audience, expirationSeconds: 43_200, path: "istio-token" };
  return { name: "istio-token", projected: { sources: [{ serviceAccountToken }] } };
}
