import { treeAt, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { defaultMultiClusterApi } from "../../api/multicluster/index.ts";
import { constrainedPlatforms, quotaPlatforms } from "../platform.ts";
import { ownReaderAccount } from "../components/reader-account.ts";
import { defaultValues } from "../default-values.ts";
import { mergeTrees } from "../merge.ts";
import { resolveSettings, type InstallSettings } from "../settings.ts";
import { resourcesAt } from "./chart.ts";
import type { TemplateMarks } from "./template-marks.ts";
import type { Switch } from "./variants.ts";

export interface ChartOptions {
  readonly hub: string;
  /** The version of the release. The charts have this version, and images have this tag by default. */
  readonly version: string;
  readonly customResources: {
    readonly istio: readonly UntypedObject[];
    readonly rollout: readonly UntypedObject[];
    readonly banzai: readonly UntypedObject[];
  };
}

export const revisionSwitch: Switch = { condition: '(ne ($v.revision | default "default") "default")' };

const chosenRevision = '$v.revision | default "default"';

export function globals({ hub, version }: ChartOptions): Tree {
  return { ...treeAt(defaultValues, "global"), hub, tag: version };
}

/**
 * Settings that contain a mark ({@link TemplateMarks}) for each value that a chart's user can set. `isRevisioned` is
 * the state of {@link revisionSwitch}.
 */
export function markedSettings(marks: TemplateMarks, isRevisioned: boolean, values: Tree): InstallSettings {
  const parsed = resolveSettings({ specs: [{ profile: "empty" }] }, { hub: "", tag: "" });
  if (parsed.value === undefined) throw new Error("the default settings cannot be wrong");
  return {
    ...parsed.value,
    hub: marks.text("$v.global.hub"),
    tag: marks.text("$v.global.tag"),
    versionLabel: marks.text('splitList "@" (toString $v.global.tag) | first'),
    namespace: marks.text("$.Release.Namespace"),
    revision: isRevisioned ? marks.text("$v.revision") : "",
    revisionLabel: marks.text(chosenRevision),
    multiClusterGroup: marks.text(`$v.env.MCS_API_GROUP | default "${defaultMultiClusterApi.group}"`),
    values: mergeTrees(
      mergeTrees(defaultValues, {
        pilot: { autoscaleEnabled: true },
        ownerName: marks.text('$v.ownerName | default "unknown"'),
      }),
      values,
    ) as InstallSettings["values"],
  };
}

/** The kind and name of an object, without marks in the name. */
export function keyWithoutMarks({ kind, metadata }: UntypedObject): string {
  return `${kind ?? ""}/${(metadata.name ?? "").replaceAll(/-?⟦\d+⟧/g, "")}`;
}

/** Sets the labels that name the Helm release. */
export function ofRelease(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const name = marks.text("$.Release.Name");
  const relabel = (labels: Tree): Tree =>
    Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [
        key,
        key === "release" || key === "app.kubernetes.io/instance" ? name : value,
      ]),
    );
  const { spec } = object as { spec?: { template?: { metadata?: { labels?: Tree } } } };
  const template = spec?.template;
  const pods =
    template?.metadata?.labels === undefined
      ? {}
      : {
          spec: {
            ...spec,
            template: { ...template, metadata: { ...template.metadata, labels: relabel(template.metadata.labels) } },
          },
        };
  return {
    ...object,
    metadata: { ...object.metadata, labels: relabel(object.metadata.labels ?? {}) as Record<string, string> },
    ...pods,
  };
}

export function workloadMarks(marks: TemplateMarks): Tree {
  return {
    resources: marks.map(resourcesAt("$v.resources")),
    nodeSelector: marks.map("$v.nodeSelector"),
    tolerations: marks.list("$v.tolerations"),
    affinity: marks.map("$v.affinity"),
    podAnnotations: marks.map("$v.podAnnotations"),
    podLabels: marks.map("$v.podLabels"),
    env: marks.env("$v.env"),
    volumes: marks.list("$v.volumes"),
    volumeMounts: marks.list("$v.volumeMounts"),
  };
}

/** The expression of a workload's node selector: its own labels, plus labels for all of the mesh's pods. */
export function selectorAt(at: string): string {
  return `merge (dict) (${at} | default dict) ($v.global.defaultNodeSelector | default dict)`;
}

/** The expression of a workload's tolerations. The default is the tolerations for all of the mesh's pods. */
export function tolerationsAt(at: string): string {
  return `${at} | default $v.global.defaultTolerations`;
}

export function globalMarks(marks: TemplateMarks): Tree {
  const proxy = (field: string): string => marks.text(`$v.global.proxy.${field}`);
  return {
    imagePullPolicy: marks.optional("$v.global.imagePullPolicy"),
    imagePullSecrets: marks.names("$v.global.imagePullSecrets"),
    priorityClassName: marks.optional("$v.global.priorityClassName"),
    pilotCertProvider: marks.text("$v.global.pilotCertProvider"),
    logging: { level: marks.text("$v.global.logging.level") },
    logAsJson: marks.list('ternary (list "--log_as_json") list (eq (toString $v.global.logAsJson) "true")'),
    multiCluster: { clusterName: marks.text('$v.global.multiCluster.clusterName | default "Kubernetes"') },
    proxy: {
      clusterDomain: proxy("clusterDomain"),
      logLevel: proxy("logLevel"),
      componentLogLevel: proxy("componentLogLevel"),
    },
    istiod: { enableAnalysis: false },
    networkPolicy: { enabled: true },
  };
}

export const wantsNetworkPolicy = "(($v.global).networkPolicy).enabled";

/**
 * The condition under which control planes of other clusters may read this cluster, and the name of the account that
 * they use, if the user gives one.
 */
export const hasReader = '(ne (toString $v.global.enableReaderRBAC) "false")';
export const readerName = "(($v.global).readerServiceAccount).name";

export function readerMarks(marks: TemplateMarks): Tree {
  return {
    name: marks.text(`${readerName} | default "${ownReaderAccount}"`),
    namespace: marks.text(
      `ternary (($v.global.readerServiceAccount).namespace | default $.Release.Namespace) $.Release.Namespace (not (empty ${readerName}))`,
    ),
  };
}

/** The defaults of a ResourceQuota. There is no `enabled`, so that the platform decides unless the user sets it. */
export const quotaDefaults = { pods: 5000 } as const;

/** Marks for the quota of the node's own pods. The chart renders it only under {@link wantsQuota}. */
export function quotaMarks(marks: TemplateMarks): Tree {
  return { enabled: true, pods: marks.number("int $v.resourceQuotas.pods") };
}

const isOneOf = (platforms: readonly string[]): string =>
  platforms.map((platform) => ` (eq ($v.global.platform | default "") "${platform}")`).join("");

const platformNeedsQuota = isOneOf(quotaPlatforms);
/** A platform with SecurityContextConstraints. Objects rendered for this platform include the right to use one. */
export const [constrainedPlatform = ""] = constrainedPlatforms;

/** The conditions under which a chart renders a component's right to use a SecurityContextConstraint. */
export function constraintConditions(component: string): Readonly<Record<string, string>> {
  const condition = `or false${isOneOf(constrainedPlatforms)}`;
  const name = `${component}-context-constraints`;
  return { [`ClusterRole/${name}`]: condition, [`ClusterRoleBinding/${name}`]: condition };
}

/** The condition under which a ClusterTrustBundle, not a ConfigMap, contains the mesh's root certificates. */
export const usesTrustBundle = 'eq (toString $v.env.ENABLE_CLUSTER_TRUST_BUNDLE_API) "true"';

export const wantsQuota = `and (ne (toString $v.resourceQuotas.enabled) "false") (or $v.resourceQuotas.enabled${platformNeedsQuota})`;

/**
 * The mark for the failure policy of validation. As in Istio's charts, the default is `Ignore` for a new installation.
 * An upgrade keeps the policy that the control plane has set.
 */
export function validationMarks(marks: TemplateMarks): Tree {
  return {
    validationFailurePolicy: marks.optional(
      '$v.base.validationFailurePolicy | default (ternary "" "Ignore" $.Release.IsUpgrade)',
    ),
  };
}

/** The conditions of the policies of the profile `stable`, which refuse experimental features of Istio. */
export function stableChannelConditions(name: string): Readonly<Record<string, string>> {
  const wanted = "$v.experimental.stableValidationPolicy";
  const binding = name.replace(/policy$/, "policy-binding");
  return {
    [`ValidatingAdmissionPolicy/${name}.istio.io`]: wanted,
    [`ValidatingAdmissionPolicyBinding/${binding}.istio.io`]: wanted,
  };
}

/**
 * A named template that is true if the object does not exist or belongs to this Helm release. Helm refuses to install
 * over another release's object, so the chart must leave such an object out. `object` contains the arguments of Helm's
 * `lookup`.
 */
export function writesUnlessTaken(name: string, object: string): string {
  return [
    `{{- define "${name}" -}}`,
    `{{- $present := lookup ${object} }}`,
    "{{- $owner := ($present.metadata).annotations | default dict }}",
    '{{- if or (not $present) (and (eq (index $owner "meta.helm.sh/release-name" | default "") .Release.Name) (eq (index $owner "meta.helm.sh/release-namespace" | default "") .Release.Namespace)) }}true{{- end }}',
    "{{- end }}",
  ].join("\n");
}
