import type { KubernetesObject } from "./meta.ts";
import type { Parsed } from "./parsed.ts";

/** A kind of resource: where it lives in the API, and how an untrusted object becomes a checked one. */
export interface KindDefinition<Value extends KubernetesObject = KubernetesObject> {
  /** Empty for the core group. */
  readonly group: string;
  /** Served versions; the first is the one that we read and write. */
  readonly versions: readonly [string, ...string[]];
  readonly kind: string;
  /** The resource's name in paths: `httproutes`. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Absent where the API server's own checks are enough for us. */
  readonly parse?: (raw: unknown) => Parsed<Value>;
}

/** Types a kind without naming it twice: `export const podKind = defineKind<Pod>({…})`. */
export function defineKind<Value extends KubernetesObject>(definition: KindDefinition<Value>): KindDefinition<Value> {
  return definition;
}

/** `v1` or `gateway.networking.k8s.io/v1`. */
export function apiVersionOf(kind: Pick<KindDefinition, "group" | "versions">): string {
  return kind.group === "" ? kind.versions[0] : `${kind.group}/${kind.versions[0]}`;
}
