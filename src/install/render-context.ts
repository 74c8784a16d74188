import { textAt, treeAt, valueAt, withoutEnd, type Tree } from "../base/index.ts";
import { suffixedTag, withoutDigest } from "../api/images/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { istioLabels, rootSource, type ComponentSpec } from "../api/istio/index.ts";
import type { InstallSettings } from "./settings.ts";

/** Adds the revision to a name: `istiod` for the default revision, `istiod-1-18-1` for another. */
export function revisioned(name: string, settings: InstallSettings): string {
  return settings.revision === "" ? name : `${name}-${settings.revision}`;
}

/** The value of the label `istio.io/rev`. */
export function revisionLabel(settings: InstallSettings): string {
  return settings.revisionLabel ?? (settings.revision === "" ? "default" : settings.revision);
}

/** The user of istiod and of proxies, and the group of the files in a pod's volumes. */
export const proxyUser = 1337;

export type ComponentName = "Base" | "Pilot" | "Cni" | "Ztunnel" | "IngressGateways" | "EgressGateways";

const charts: Readonly<Record<ComponentName, readonly [chart: string, name: string]>> = {
  Base: ["base", "istio-reader"],
  Pilot: ["istiod", "istiod"],
  Cni: ["cni", "istio-cni"],
  Ztunnel: ["ztunnel", "ztunnel"],
  IngressGateways: ["istio-ingress", "istio-ingressgateway"],
  EgressGateways: ["istio-egress", "istio-egressgateway"],
};

/** The labels of all objects of a chart, including pods. */
export function chartLabels(component: ComponentName, settings: InstallSettings): Record<string, string> {
  const [chart, name] = charts[component];
  const version = settings.versionLabel ?? labelValue(withoutDigest(settings.tag));
  return {
    "app.kubernetes.io/instance": "istio",
    "app.kubernetes.io/managed-by": "Helm",
    "app.kubernetes.io/name": name,
    "app.kubernetes.io/part-of": "istio",
    "app.kubernetes.io/version": version,
    "helm.sh/chart": labelValue(`${chart}-${version}`),
  };
}

const longestLabelValue = 63;

/** Converts a text to a label's value, which has at most 63 characters and no `+`. */
export function labelValue(text: string): string {
  return withoutEnd(text.slice(0, longestLabelValue).replaceAll("+", "_"), "-_.");
}

/**
 * The labels of a component's objects, as in Istio. Shared objects have no revision, so that they stay when a revision
 * is removed.
 */
export function componentLabels(
  component: ComponentName,
  settings: InstallSettings,
  scope: "revision" | "shared",
): Record<string, string> {
  return {
    ...chartLabels(component, settings),
    [istioLabels.owningResource]: textAt(settings.values, "ownerName") ?? "unknown",
    ...(scope === "revision" ? { "istio.io/rev": revisionLabel(settings) } : {}),
    "operator.istio.io/component": component,
    release: "istio",
  };
}

/** The image reference `hub/name:tag[-variant]`. An image that contains a slash is already a complete reference. */
export function imageOf(program: string, component: ComponentSpec, settings: InstallSettings, own?: Tree): string {
  const image = textAt(own, "image") ?? program;
  if (image.includes("/")) return image;
  const variant = textAt(own, "variant") ?? textAt(settings.values, "global", "variant");
  const tag = component.tag ?? textAt(own, "tag") ?? settings.tag;
  return `${component.hub ?? textAt(own, "hub") ?? settings.hub}/${image}:${suffixedTag(tag, variant ?? "")}`;
}

export function clusterName(settings: InstallSettings): string {
  return textAt(settings.values, "global", "multiCluster", "clusterName") ?? "Kubernetes";
}

/**
 * The volume with the mesh's root certificates, from the ConfigMap or ClusterTrustBundle that the control plane writes.
 * A component's own values take precedence over global ones.
 */
export function rootVolume(settings: InstallSettings, own?: Tree): Tree {
  const { values } = settings;
  const source =
    settings.rootSource ??
    rootSource({
      clusterTrustBundle: usesTrustBundle(own) || usesTrustBundle(treeAt(values, "pilot")),
      trustBundleName: textAt(own, "trustBundleName") ?? textAt(values, "global", "trustBundleName") ?? "",
    });
  return { name: "istiod-ca-cert", ...source };
}

/**
 * Whether a component's environment selects a ClusterTrustBundle, not a ConfigMap, for the mesh's root certificates.
 */
export function usesTrustBundle(own: Tree | undefined): boolean {
  return String(valueAt(own, "env", "ENABLE_CLUSTER_TRUST_BUNDLE_API")) === "true";
}

/** Converts `{ A: "1" }` to the `env` of a container. */
export function envEntries(values: Readonly<Record<string, unknown>> | undefined): { name: string; value: string }[] {
  return Object.entries(values ?? {}).map(([name, value]) => ({ name, value: String(value) }));
}

const logFormatVariable = "SERIN_LOG_FORMAT";

/**
 * Serin's environment variable with the log format of the mesh's proxies. It is for processes that get no ProxyConfig.
 */
export function logFormatEntries(settings: InstallSettings): { name: string; value: string }[] {
  const wanted = valueAt(settings.meshConfig, "defaultConfig", "proxyMetadata", logFormatVariable);
  return typeof wanted === "string" || typeof wanted === "number"
    ? [{ name: logFormatVariable, value: String(wanted) }]
    : [];
}

/** The argument for logs in JSON, from `global.logAsJson`. In a chart, the value is a mark for a list. */
export function jsonLogArguments(values: InstallSettings["values"]): unknown[] {
  const wanted = valueAt(values, "global", "logAsJson");
  if (Array.isArray(wanted)) return wanted;
  return String(wanted) === "true" ? ["--log_as_json"] : [];
}

export function fieldEnv(
  name: string,
  fieldPath: string,
): { name: string; valueFrom: { fieldRef: { apiVersion: string; fieldPath: string } } } {
  return { name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } };
}

/** Joins lists of variables. A later entry replaces an earlier one of the same name, in its place. */
export function mergeEnv<Entry extends { readonly name?: unknown }>(...lists: readonly (readonly Entry[])[]): Entry[] {
  const byName = new Map<unknown, Entry>();
  for (const entry of lists.flat()) byName.set(entry.name, entry);
  return [...byName.values()];
}

/** The `imagePullPolicy` of a container, if one is set. `own` is the policy in the component's values. */
export function pullPolicy(
  component: ComponentSpec,
  settings: InstallSettings,
  own?: string,
): { imagePullPolicy?: string } {
  const policy = component.k8s?.imagePullPolicy ?? own ?? textAt(settings.values, "global", "imagePullPolicy");
  return policy === undefined ? {} : { imagePullPolicy: policy };
}

/**
 * A quota for pods with the priority class of a node's own pods. Some platforms admit such pods only in namespaces with
 * such a quota.
 */
export function nodePodsQuota(
  identity: { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  pods = "5000",
): UntypedObject {
  const ofNodes = { operator: "In", scopeName: "PriorityClass", values: [nodePriorityClass] };
  return object(
    { apiVersion: "v1", kind: "ResourceQuota", ...identity },
    { spec: { hard: { pods }, scopeSelector: { matchExpressions: [ofNodes] } } },
  );
}

export const nodePriorityClass = "system-node-critical";

export interface ObjectIdentity {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function object(identity: ObjectIdentity, body: Readonly<Record<string, unknown>>): UntypedObject {
  const { apiVersion, kind, name, namespace, labels, annotations } = identity;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...labels },
      ...(annotations === undefined || Object.keys(annotations).length === 0
        ? {}
        : { annotations: { ...annotations } }),
    },
    ...body,
  };
}
