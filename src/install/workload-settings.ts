import { textAt, treeAt, valueAt, type Tree } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import type { ComponentSpec, KubernetesSettings } from "../api/istio/index.ts";
import { affinityOfDaemons } from "./daemonless-nodes.ts";
import { mergeTrees } from "./merge.ts";
import { object } from "./render-context.ts";
import { numberAt, type InstallSettings } from "./settings.ts";

/** The settings of a workload, from a component's `k8s` and its values. Those in `k8s` take precedence. */
export interface WorkloadSettings {
  readonly replicas: number;
  readonly autoscale: { readonly minimum: number; readonly maximum: number } | undefined;
  readonly resources: unknown;
  readonly strategy: unknown;
  readonly podAnnotations: Tree;
  readonly podLabels: Tree;
  readonly serviceAnnotations: Readonly<Record<string, string>>;
  readonly pod: Record<string, unknown>;
  readonly volumes: readonly Tree[];
  readonly volumeMounts: readonly Tree[];
  readonly env: readonly Tree[];
}

/** Reads the settings. `own` are the component's values, such as `values.pilot`. */
export function workloadSettings(
  component: ComponentSpec,
  own: Tree | undefined,
  settings: InstallSettings,
): WorkloadSettings {
  const { k8s } = component;
  const replicas = k8s?.replicaCount ?? numberAt(own, "replicaCount") ?? 1;
  const minimum = numberAt(k8s?.hpaSpec, "minReplicas") ?? numberAt(own, "autoscaleMin") ?? 1;
  const maximum = numberAt(k8s?.hpaSpec, "maxReplicas") ?? numberAt(own, "autoscaleMax") ?? 5;
  const isScaled =
    (k8s?.hpaSpec !== undefined || valueAt(own, "autoscaleEnabled") !== false) && minimum > 0 && maximum > 0;
  return {
    replicas,
    autoscale: isScaled ? { minimum, maximum } : undefined,
    resources: k8s?.resources ?? treeAt(own, "resources") ?? treeAt(settings.values, "global", "defaultResources"),
    strategy: k8s?.strategy ?? {
      rollingUpdate: {
        maxSurge: valueAt(own, "rollingMaxSurge") ?? "100%",
        maxUnavailable: valueAt(own, "rollingMaxUnavailable") ?? "25%",
      },
    },
    podAnnotations: { ...treeAt(own, "podAnnotations"), ...k8s?.podAnnotations },
    podLabels: { ...treeAt(own, "podLabels") },
    serviceAnnotations: {
      ...(treeAt(own, "serviceAnnotations") as Record<string, string> | undefined),
      ...k8s?.serviceAnnotations,
    },
    pod: podSettings(k8s, own, settings),
    volumes: [...treesAt(own, "volumes"), ...(k8s?.volumes ?? [])],
    volumeMounts: [...treesAt(own, "volumeMounts"), ...(k8s?.volumeMounts ?? [])],
    env: [...treesAt(own, "envVarFrom"), ...(k8s?.env ?? [])],
  };
}

/**
 * The settings of a DaemonSet that the other pods of a node need. It must run on every node and be evicted last, so the
 * placement and priority of the mesh's other pods do not apply to it.
 */
export function nodeWorkloadSettings(
  component: ComponentSpec,
  own: Tree | undefined,
  settings: InstallSettings,
): WorkloadSettings {
  const given = treeAt(settings.values, "global") ?? {};
  const global = Object.fromEntries(Object.entries(given).filter(([field]) => !placementDefaults.has(field)));
  const read = workloadSettings(component, own, { ...settings, values: { ...settings.values, global } });
  return { ...read, pod: { affinity: affinityOfDaemons, ...read.pod } };
}

const placementDefaults: ReadonlySet<string> = new Set([
  "defaultNodeSelector",
  "defaultTolerations",
  "priorityClassName",
]);

function treesAt(own: Tree | undefined, field: string): readonly Tree[] {
  const found = valueAt(own, field);
  return Array.isArray(found) ? (found as Tree[]) : [];
}

/** The fields of the pod's spec that come from `components.<name>.k8s` and the component's values. */
function podSettings(
  k8s: KubernetesSettings | undefined,
  own: Tree | undefined,
  settings: InstallSettings,
): Record<string, unknown> {
  const global = treeAt(settings.values, "global");
  const tolerations =
    k8s?.tolerations ?? filled(valueAt(own, "tolerations")) ?? filled(valueAt(global, "defaultTolerations"));
  const affinity = k8s?.affinity ?? filled(valueAt(own, "affinity"));
  const priorityClassName = k8s?.priorityClassName ?? textAt(global, "priorityClassName");
  const spread = filled(valueAt(own, "topologySpreadConstraints"));
  const pullSecrets = filled(valueAt(own, "imagePullSecrets")) ?? filled(valueAt(global, "imagePullSecrets"));
  return {
    nodeSelector: {
      "kubernetes.io/os": "linux",
      ...treeAt(global, "defaultNodeSelector"),
      ...treeAt(own, "nodeSelector"),
      ...k8s?.nodeSelector,
    },
    ...(tolerations === undefined ? {} : { tolerations }),
    ...(affinity === undefined ? {} : { affinity }),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
    ...(spread === undefined ? {} : { topologySpreadConstraints: spread }),
    ...(Array.isArray(pullSecrets)
      ? { imagePullSecrets: pullSecrets.map((name) => (typeof name === "string" ? { name } : (name as unknown))) }
      : {}),
    ...(k8s?.securityContext === undefined ? {} : { securityContext: k8s.securityContext }),
  };
}

function filled(value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  return Object.keys(value).length === 0 ? undefined : value;
}

export interface ScaledWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
}

/**
 * A HorizontalPodAutoscaler if the workload scales, and a PodDisruptionBudget if the spec gives one or the workload has
 * more than one pod.
 */
export function scalingObjects(
  target: ScaledWorkload,
  component: ComponentSpec,
  own: Tree | undefined,
  settings: InstallSettings,
): UntypedObject[] {
  const { name, namespace, labels } = target;
  const { autoscale, replicas } = workloadSettings(component, own, settings);
  const identity = { name, namespace, labels };
  const objects: UntypedObject[] = [];
  if (autoscale !== undefined) {
    const metric = (name: string, averageUtilization: number): Tree => ({
      type: "Resource",
      resource: { name, target: { type: "Utilization", averageUtilization } },
    });
    const ofMemory = numberAt(own, "memory", "targetAverageUtilization");
    const behavior = filled(valueAt(own, "autoscaleBehavior"));
    const spec = mergeTrees(
      {
        minReplicas: autoscale.minimum,
        maxReplicas: autoscale.maximum,
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
        metrics: [
          metric("cpu", numberAt(own, "cpu", "targetAverageUtilization") ?? 80),
          ...(ofMemory === undefined ? [] : [metric("memory", ofMemory)]),
        ],
        ...(behavior === undefined ? {} : { behavior }),
      },
      component.k8s?.hpaSpec,
    );
    objects.push(object({ apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler", ...identity }, { spec }));
  }
  objects.push(...budgetObjects(target, component, settings, autoscale?.minimum ?? replicas));
  return objects;
}

function budgetObjects(
  { name, namespace, labels, selector }: ScaledWorkload,
  component: ComponentSpec,
  settings: InstallSettings,
  pods: number,
): UntypedObject[] {
  const wantsBudget = valueAt(settings.values, "global", "defaultPodDisruptionBudget", "enabled") !== false && pods > 1;
  if (component.k8s?.podDisruptionBudget === undefined && !wantsBudget) return [];
  const budget = component.k8s?.podDisruptionBudget ?? budgetValues(treeAt(settings.values, "pdb"));
  return [
    object(
      { apiVersion: "policy/v1", kind: "PodDisruptionBudget", name, namespace, labels },
      { spec: { ...budget, selector: { matchLabels: selector } } },
    ),
  ];
}

/** The budget from the values `pdb`. `maxUnavailable` takes precedence over `minAvailable`. */
function budgetValues(own: Tree | undefined): Tree {
  const maxUnavailable = valueAt(own, "maxUnavailable");
  const policy = textAt(own, "unhealthyPodEvictionPolicy");
  return {
    ...(maxUnavailable === undefined ? { minAvailable: valueAt(own, "minAvailable") ?? 1 } : { maxUnavailable }),
    ...(policy === undefined || policy === "" ? {} : { unhealthyPodEvictionPolicy: policy }),
  };
}
