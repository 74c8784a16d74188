import type { KubernetesObject } from "./meta.ts";
import type { Parsed } from "./parsed.ts";

export interface KindDefinition<Value extends KubernetesObject = KubernetesObject> {
  /** Empty for the core group. */
  readonly group: string;
  /** The served versions. Serin reads and writes the first one. */
  readonly versions: readonly [string, ...string[]];
  readonly kind: string;
  /** The resource's name in paths, such as `httproutes`. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Absent if the API server's validation is sufficient. */
  readonly parse?: (raw: unknown) => Parsed<Value>;
}

/**
 * Infers the type parameter, so that a definition names its type only once: `export const podKind =
 * defineKind<Pod>({…})`.
 */
export function defineKind<Value extends KubernetesObject>(definition: KindDefinition<Value>): KindDefinition<Value> {
  return definition;
}

/** The `apiVersion` of the kind's objects: `v1` or `gateway.networking.k8s.io/v1`. */
export function apiVersionOf(kind: Pick<KindDefinition, "group" | "versions">): string {
  return kind.group === "" ? kind.versions[0] : `${kind.group}/${kind.versions[0]}`;
}

/** The group and the version of an `apiVersion`. The core group is empty. */
export function groupVersionOf(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return { group: slash < 0 ? "" : apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}
