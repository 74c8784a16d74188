import type { GatewaySpec, IstioOperatorSpec, KubernetesSettings } from "../api/istio/index.ts";
import { mergeTrees } from "./merge.ts";
import { treeAt, valueAt } from "./settings.ts";

export type ChartName = "base" | "istiod" | "cni" | "ztunnel" | "gateway";

type Tree = Readonly<Record<string, unknown>>;

/** Fields of a component's `k8s` that the charts know under these names of their values. */
const workloadFields = ["env", "resources", "nodeSelector", "tolerations", "affinity", "podAnnotations", "serviceAnnotations", "replicaCount"] as const;

/** The values with which a chart renders what the spec asks of its component. */
export function chartValuesOf(spec: IstioOperatorSpec, chart: ChartName, gateway?: GatewaySpec): Tree {
  const { values = {}, components = {} } = spec;
  const global = mergeTrees(valueAt(values, "global") ?? {}, defined({ hub: spec.hub, tag: spec.tag, istioNamespace: spec.namespace }));
  const shared = defined({ profile: spec.profile, revision: spec.revision ?? valueAt(values, "revision") });
  if (chart === "base") return defined({ ...shared, global, defaultRevision: valueAt(values, "defaultRevision") });
  if (chart === "cni") return { ...shared, global, ...treeAt(values, "cni"), ...workloadValues(components.cni?.k8s) };
  if (chart === "ztunnel") return { ...shared, ...defined({ hub: spec.hub, tag: spec.tag }), ...treeAt(values, "ztunnel"), ...workloadValues(components.ztunnel?.k8s) };
  if (chart === "gateway") return { ...shared, ...defined({ labels: gateway?.label, service: gateway?.k8s?.service }), ...workloadValues(gateway?.k8s) };
  const { pilot, cni: _cni, ztunnel: _ztunnel, gateways: _gateways, global: _global, ...rest } = values;
  return { ...shared, ...rest, ...defined({ meshConfig: spec.meshConfig ?? valueAt(values, "meshConfig") }), global, ...(pilot as Tree | undefined), ...workloadValues(components.pilot?.k8s) };
}

function workloadValues(k8s: KubernetesSettings | undefined): Tree {
  const found = workloadFields.map((field) => [field, valueAt(k8s, field)] as const).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found.map(([field, value]) => [field, field === "env" && Array.isArray(value) ? envTree(value) : value]));
}

function envTree(entries: readonly unknown[]): Tree {
  return Object.fromEntries(entries.map((entry) => [String(valueAt(entry, "name")), valueAt(entry, "value")]));
}

function defined(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([, value]) => value !== undefined));
}
