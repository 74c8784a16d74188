import type { UntypedObject } from "../api/index.ts";
import type { ComponentSpec, KubernetesSettings } from "../api/istio/index.ts";
import type { InstallSettings } from "./settings.ts";
import { stringAt } from "./settings.ts";

/** `istiod` for the default revision, `istiod-1-18-1` for another. */
export function revisioned(name: string, settings: InstallSettings): string {
  return settings.revision === "" ? name : `${name}-${settings.revision}`;
}

/** The revision as the label `istio.io/rev` says it. */
export function revisionLabel(settings: InstallSettings): string {
  return settings.revision === "" ? "default" : settings.revision;
}

export type ComponentName = "Base" | "Pilot" | "Cni" | "Ztunnel" | "IngressGateways" | "EgressGateways";

/** Labels of what belongs to one revision; `shared` leaves the revision out, so that removing a revision leaves the object. */
export function componentLabels(component: ComponentName, settings: InstallSettings, scope: "revision" | "shared"): Record<string, string> {
  return {
    "app.kubernetes.io/managed-by": "serin",
    "app.kubernetes.io/part-of": "istio",
    "app.kubernetes.io/version": settings.tag,
    "operator.istio.io/component": component,
    "install.operator.istio.io/owning-resource": scope === "revision" ? "installed-state" : "shared",
    release: "istio",
    ...(scope === "revision" ? { "istio.io/rev": revisionLabel(settings) } : {}),
  };
}

export function imageOf(program: string, component: ComponentSpec, settings: InstallSettings): string {
  return `${component.hub ?? settings.hub}/${program}:${component.tag ?? settings.tag}`;
}

export function clusterName(settings: InstallSettings): string {
  return stringAt(settings.values, "global", "multiCluster", "clusterName") ?? "Kubernetes";
}

/** `{ A: "1" }` as env entries. */
export function envEntries(values: Readonly<Record<string, unknown>> | undefined): { name: string; value: string }[] {
  return Object.entries(values ?? {}).map(([name, value]) => ({ name, value: String(value) }));
}

export function fieldEnv(name: string, fieldPath: string): { name: string; valueFrom: { fieldRef: { apiVersion: string; fieldPath: string } } } {
  return { name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } };
}

/** Later entries of the same name replace earlier ones, in place. */
export function mergeEnv<Entry extends { readonly name?: unknown }>(...lists: readonly (readonly Entry[])[]): Entry[] {
  const byName = new Map<unknown, Entry>();
  for (const entry of lists.flat()) byName.set(entry.name, entry);
  return [...byName.values()];
}

/** The pod-level settings of `components.x.k8s` that go into a pod template's spec. */
export function podSettings(k8s: KubernetesSettings | undefined, fallback: { nodeSelector?: unknown } = {}): Record<string, unknown> {
  return {
    nodeSelector: { "kubernetes.io/os": "linux", ...(fallback.nodeSelector as Record<string, string> | undefined), ...k8s?.nodeSelector },
    ...(k8s?.tolerations === undefined ? {} : { tolerations: k8s.tolerations }),
    ...(k8s?.affinity === undefined ? {} : { affinity: k8s.affinity }),
  };
}

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
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
    },
    ...body,
  };
}
