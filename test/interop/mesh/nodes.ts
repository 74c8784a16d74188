// The nodes that request configuration from a control plane: one proxy of each kind among the pods of base.yaml.

export interface MeshNode {
  readonly role: "sidecar" | "router" | "waypoint" | "ztunnel";
  readonly namespace: string;
  readonly pod: string;
  readonly account: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

const injected = { "security.istio.io/tlsMode": "istio", "service.istio.io/canonical-revision": "v1" };

export const sidecarNode: MeshNode = {
  role: "sidecar",
  namespace: "shop",
  pod: "client-1",
  account: "client",
  address: "10.244.1.10",
  labels: { app: "client", version: "v1", "service.istio.io/canonical-name": "client", ...injected },
};

export const routerNode: MeshNode = {
  role: "router",
  namespace: "istio-system",
  pod: "istio-ingressgateway-1",
  account: "istio-ingressgateway",
  address: "10.244.1.5",
  labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
};

export const waypointNode: MeshNode = {
  role: "waypoint",
  namespace: "mesh",
  pod: "waypoint-1",
  account: "waypoint",
  address: "10.244.1.6",
  labels: {
    "gateway.networking.k8s.io/gateway-name": "waypoint",
    "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
    "gateway.istio.io/managed": "istio.io-mesh-controller",
  },
};

export const ztunnelNode: MeshNode = {
  role: "ztunnel",
  namespace: "istio-system",
  pod: "ztunnel-1",
  account: "ztunnel",
  address: "10.244.1.7",
  labels: { app: "ztunnel" },
};

export function nodeId({ role, address, pod, namespace }: MeshNode): string {
  return `${role}~${address}~${pod}.${namespace}~${namespace}.svc.cluster.local`;
}

/**
 * The metadata that the agent of such a proxy sends. It has no PROXY_CONFIG, so that a control plane uses the mesh's.
 */
export function nodeMetadata(
  { namespace, pod, account, address, labels }: MeshNode,
  version: string,
): Readonly<Record<string, unknown>> {
  return {
    NAME: pod,
    NAMESPACE: namespace,
    INSTANCE_IPS: address,
    SERVICE_ACCOUNT: account,
    NODE_NAME: "node-a",
    CLUSTER_ID: "Kubernetes",
    MESH_ID: "cluster.local",
    WORKLOAD_NAME: labels["app"] ?? "waypoint",
    OWNER: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${labels["app"] ?? "waypoint"}`,
    LABELS: labels,
    ISTIO_VERSION: version,
    INTERCEPTION_MODE: "REDIRECT",
    // Injection sets this in ambient meshes. Istio's control plane then sends HBONE configuration to sidecars.
    ENABLE_HBONE: "true",
  };
}
