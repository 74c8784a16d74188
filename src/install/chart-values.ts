import { definedFields, filledTree, isTree, treeAt, valueAt, type Tree } from "../base/index.ts";
import type { GatewaySpec, IstioOperatorSpec, KubernetesSettings } from "../api/istio/index.ts";
import { mergeTrees } from "./merge.ts";

export type ChartName = "base" | "istiod" | "cni" | "ztunnel" | "gateway";

export interface ChartValues {
  readonly values: Tree;
  /** Names of the fields in the component's `k8s` that the chart has no value for. */
  readonly left: readonly string[];
}

/** Fields of a component's `k8s` for which the charts have a value of the same name. */
const workloadFields = [
  "env",
  "resources",
  "nodeSelector",
  "tolerations",
  "affinity",
  "podAnnotations",
  "volumes",
  "volumeMounts",
] as const;

/** Converts an IstioOperator's spec to values of a chart. `gateway` is the gateway of the chart `gateway`. */
export function chartValuesOf(spec: IstioOperatorSpec, chart: ChartName, gateway?: GatewaySpec): ChartValues {
  const { values = {}, components = {} } = spec;
  const global = mergeTrees(
    valueAt(values, "global") ?? {},
    definedFields({ hub: spec.hub, tag: spec.tag, istioNamespace: spec.namespace }),
  );
  const shared = definedFields({ profile: spec.profile, revision: spec.revision ?? valueAt(values, "revision") });
  if (chart === "base")
    return unchanged(definedFields({ ...shared, global, defaultRevision: valueAt(values, "defaultRevision") }));
  if (chart === "gateway") return gatewayValues(spec, gateway);
  if (chart === "cni") return withWorkload({ ...shared, global, ...treeAt(values, "cni") }, components.cni?.k8s);
  if (chart === "ztunnel")
    return withWorkload(
      { ...shared, ...definedFields({ hub: spec.hub, tag: spec.tag }), ...treeAt(values, "ztunnel") },
      components.ztunnel?.k8s,
    );
  const { pilot, cni: _cni, ztunnel: _ztunnel, gateways: _gateways, global: _global, ...rest } = values;
  const mesh = definedFields({ meshConfig: spec.meshConfig ?? valueAt(values, "meshConfig") });
  const k8s = components.pilot?.k8s;
  const scaled = definedFields({
    replicaCount: k8s?.replicaCount,
    serviceAnnotations: k8s?.serviceAnnotations,
    autoscaleMin: valueAt(k8s?.hpaSpec, "minReplicas"),
    autoscaleMax: valueAt(k8s?.hpaSpec, "maxReplicas"),
  });
  return withWorkload({ ...shared, ...rest, ...mesh, global, ...(pilot as Tree | undefined), ...scaled }, k8s, [
    "replicaCount",
    "serviceAnnotations",
    "hpaSpec",
  ]);
}

function gatewayValues(spec: IstioOperatorSpec, gateway: GatewaySpec | undefined): ChartValues {
  const own = treeAt(spec.values, "gateways", gateway?.name ?? "") ?? {};
  const shared = definedFields({ revision: spec.revision ?? valueAt(spec.values, "revision") });
  const scale = (from: unknown, minimum: string, maximum: string): Tree =>
    definedFields({ minReplicas: valueAt(from, minimum), maxReplicas: valueAt(from, maximum) });
  const autoscaling = {
    ...definedFields({ enabled: own["autoscaleEnabled"] }),
    ...scale(own, "autoscaleMin", "autoscaleMax"),
    ...scale(gateway?.k8s?.hpaSpec, "minReplicas", "maxReplicas"),
  };
  const annotations = mergeTrees(own["serviceAnnotations"] ?? {}, gateway?.k8s?.serviceAnnotations);
  const direction = (spec.components?.egressGateways ?? []).some(({ name }) => name === gateway?.name)
    ? "egress"
    : "ingress";
  const service = {
    ...definedFields({
      type: own["type"] ?? (direction === "egress" ? "ClusterIP" : undefined),
      ports: own["ports"],
      loadBalancerIP: own["loadBalancerIP"],
    }),
    ...definedFields({ annotations: filledTree(isTree(annotations) ? annotations : undefined) }),
    ...gateway?.k8s?.service,
  };
  // The chart's default label is the gateway's name. `serin install` uses the direction, ingress or egress, so set it.
  const labels = {
    ...(gateway?.name === `istio-${direction}gateway` ? {} : { istio: `${direction}gateway` }),
    ...treeAt(own, "labels"),
    ...gateway?.label,
  };
  const base = definedFields({
    ...shared,
    labels: filledTree(labels),
    service: filledTree(service),
    autoscaling: filledTree(autoscaling),
    resources: own["resources"],
    env: own["env"],
    podAnnotations: own["podAnnotations"],
  });
  const { replicaCount, podDisruptionBudget, imagePullPolicy } = gateway?.k8s ?? {};
  return withWorkload(
    { ...base, ...definedFields({ replicaCount, podDisruptionBudget, imagePullPolicy }) },
    gateway?.k8s,
    ["replicaCount", "serviceAnnotations", "hpaSpec", "service", "podDisruptionBudget", "imagePullPolicy"],
  );
}

function unchanged(values: Tree): ChartValues {
  return { values, left: [] };
}

/** Merges the component's `k8s` onto the values. `done` lists fields of `k8s` that the values already contain. */
function withWorkload(values: Tree, k8s: KubernetesSettings | undefined, done: readonly string[] = []): ChartValues {
  if (k8s === undefined) return unchanged(values);
  const known = new Set<string>([...workloadFields, ...done]);
  const fields = Object.fromEntries(
    workloadFields
      .map((field) => [field, field === "env" ? envTree(k8s.env) : valueAt(k8s, field)])
      .filter(([, value]) => value !== undefined),
  );
  const left = Object.entries(k8s)
    .filter(([field, value]) => value !== undefined && !known.has(field))
    .map(([field]) => field);
  // A variable with `valueFrom` has no text, so it cannot become a chart value.
  const sourced = (k8s.env ?? []).some((entry) => valueAt(entry, "value") === undefined)
    ? ["env (those with a valueFrom)"]
    : [];
  return { values: { ...values, ...fields }, left: [...left, ...sourced] };
}

function envTree(entries: readonly unknown[] | undefined): Tree | undefined {
  const plain = (entries ?? []).filter((entry) => valueAt(entry, "value") !== undefined);
  return plain.length === 0
    ? undefined
    : Object.fromEntries(plain.map((entry) => [String(valueAt(entry, "name")), valueAt(entry, "value")]));
}
