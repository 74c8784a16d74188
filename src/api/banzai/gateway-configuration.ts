import type { Tree } from "../../base/index.ts";
import type { Reader } from "../reader.ts";

export interface ResourceReference {
  readonly name: string;
  readonly namespace: string;
}

/** The gateway settings that Istio's `gateways.ingress` and MeshGateway have in common. */
export interface GatewayConfiguration {
  readonly enabled: boolean;
  /** Whether the operator creates the gateway's objects once, and never updates them afterwards. */
  readonly createOnly: boolean;
  readonly ports: readonly GatewayPort[];
  readonly replicaCount: number | undefined;
  readonly minReplicas: number | undefined;
  readonly maxReplicas: number | undefined;
  readonly serviceType: "ClusterIP" | "NodePort" | "LoadBalancer" | undefined;
  readonly loadBalancerIP: string | undefined;
  readonly serviceAnnotations: Readonly<Record<string, string>>;
  readonly serviceLabels: Readonly<Record<string, string>>;
  readonly serviceExternalTrafficPolicy: "Local" | "Cluster" | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: Tree | undefined;
  readonly nodeSelector: Tree | undefined;
  readonly tolerations: readonly Tree[];
  readonly affinity: Tree | undefined;
  readonly podAnnotations: Readonly<Record<string, string>>;
  readonly requestedNetworkView: string | undefined;
  readonly additionalEnvVars: readonly Tree[];
  /** The settings as the user wrote them. The operator copies them into the MeshGateway that it generates. */
  readonly raw: Tree;
}

export interface GatewayPort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: string;
  readonly nodePort: number | undefined;
}

const largestPort = 65_535;

/** Reads the fields of `gateways.ingress` or of a MeshGateway's spec. `undefined` means that there is no gateway. */
export function readGateway(reader: Reader | undefined, enabledAtAll: boolean): GatewayConfiguration {
  const raw = (reader?.raw ?? {}) as Tree;
  reader?.ignore("sds", "runAsRoot", "securityContext", "image");
  return {
    enabled: enabledAtAll && (reader?.boolean("enabled") ?? false),
    createOnly: reader?.boolean("createOnly") ?? false,
    ports: reader?.list("ports").map(readPort) ?? [],
    replicaCount: reader?.integer("replicaCount", 0),
    minReplicas: reader?.integer("minReplicas", 0),
    maxReplicas: reader?.integer("maxReplicas", 0),
    serviceType: reader?.oneOf("serviceType", ["ClusterIP", "NodePort", "LoadBalancer"]),
    loadBalancerIP: reader?.string("loadBalancerIP"),
    serviceAnnotations: reader?.stringMap("serviceAnnotations") ?? {},
    serviceLabels: reader?.stringMap("serviceLabels") ?? {},
    serviceExternalTrafficPolicy: reader?.oneOf("serviceExternalTrafficPolicy", ["Local", "Cluster"]),
    labels: reader?.stringMap("labels") ?? {},
    resources: reader?.object("resources")?.raw as Tree | undefined,
    nodeSelector: reader?.object("nodeSelector")?.raw as Tree | undefined,
    tolerations: reader?.list("tolerations").map((item) => item.raw as Tree) ?? [],
    affinity: reader?.object("affinity")?.raw as Tree | undefined,
    podAnnotations: reader?.stringMap("podAnnotations") ?? {},
    requestedNetworkView: reader?.string("requestedNetworkView"),
    additionalEnvVars: reader?.list("additionalEnvVars").map((item) => item.raw as Tree) ?? [],
    raw,
  };
}

function readPort(reader: Reader): GatewayPort {
  const port = reader.required("port", reader.integer("port", 1, largestPort)) ?? 0;
  return {
    name: reader.required("name", reader.string("name")) ?? "",
    port,
    targetPort: reader.integer("targetPort", 1, largestPort) ?? port,
    protocol: reader.string("protocol") ?? "TCP",
    nodePort: reader.integer("nodePort", 0, largestPort),
  };
}
