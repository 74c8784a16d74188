import { isTree, textAt, treeAt, valueAt, type Tree } from "../../base/index.ts";
import { rootSource } from "../../api/istio/index.ts";
import type { PodSpec } from "../../api/kubernetes/index.ts";

type Container = PodSpec["containers"][number];
type Resources = NonNullable<Container["resources"]>;

const pullPolicies = ["Always", "IfNotPresent", "Never"] as const;

export interface GatewayPodValues {
  readonly container: Pick<Container, "imagePullPolicy">;
  /** The source of the volume with the mesh's root. */
  readonly root: ReturnType<typeof rootSource>;
  /** `gateways.seccompProfile`, which replaces the container runtime's default. */
  readonly seccompProfile?: { readonly type: string };
  readonly pod: Partial<PodSpec>;
  /** `global.proxy.resources`, which waypoints do not use. */
  readonly resources?: Resources;
  readonly waypoint: { readonly resources?: Resources; readonly pod: Partial<PodSpec> };
}

/** Reads the values in the injector's ConfigMap. Fields of a wrong type are ignored. */
export function readGatewayPodValues(values: Tree): GatewayPodValues {
  const policy = pullPolicies.find((known) => known === textAt(values, "global", "imagePullPolicy"));
  const seccompProfile = filled(treeAt(values, "gateways", "seccompProfile"));
  const secrets = filled(valueAt(values, "global", "imagePullSecrets"));
  const waypoint = treeAt(values, "global", "waypoint");
  const placement = ["affinity", "nodeSelector", "tolerations", "topologySpreadConstraints"].flatMap((field) => {
    const value = filled(valueAt(waypoint, field));
    return value === undefined ? [] : [[field, value] as const];
  });
  return {
    container: policy === undefined ? {} : { imagePullPolicy: policy },
    root: rootSource({
      clusterTrustBundle: String(valueAt(values, "pilot", "env", "ENABLE_CLUSTER_TRUST_BUNDLE_API")) === "true",
      trustBundleName: textAt(values, "global", "trustBundleName") ?? "",
    }),
    pod: Array.isArray(secrets) ? { imagePullSecrets: secrets.map((name) => ({ name: String(name) })) } : {},
    ...(seccompProfile === undefined ? {} : { seccompProfile: seccompProfile as { type: string } }),
    ...resourcesOf(treeAt(values, "global", "proxy", "resources")),
    waypoint: { ...resourcesOf(treeAt(waypoint, "resources")), pod: Object.fromEntries(placement) },
  };
}

/** The value itself. Undefined if it is empty, or neither a list nor an object. */
function filled(value: unknown): unknown {
  return (Array.isArray(value) && value.length > 0) || (isTree(value) && Object.keys(value).length > 0)
    ? value
    : undefined;
}

function resourcesOf(tree: Tree | undefined): { readonly resources?: Resources } {
  const kinds = (["requests", "limits"] as const).flatMap((kind) => {
    const amounts = Object.entries(treeAt(tree, kind) ?? {}).filter(([, amount]) => amount !== null);
    return amounts.length === 0
      ? []
      : [[kind, Object.fromEntries(amounts.map(([name, amount]) => [name, shortAmount(String(amount))]))] as const];
  });
  return kinds.length === 0 ? {} : { resources: Object.fromEntries(kinds) };
}

/**
 * The amount in the shorter spelling in which earlier releases wrote the charts' defaults. With another spelling, an
 * upgrade would replace pods although nothing else changes.
 */
function shortAmount(amount: string): string {
  return amount === "2000m" ? "2" : amount === "1024Mi" ? "1Gi" : amount;
}
