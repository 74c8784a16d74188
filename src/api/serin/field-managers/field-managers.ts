import { pointerNames } from "../../../base/index.ts";
import type { KubernetesObject, ManagedFieldsEntry } from "../../meta.ts";

export const fieldManager = "serin-rollout";

/**
 * The last writer of a field, such as `kubectl-edit at 2026-11-20T12:00:00Z`, according to the API server. Undefined if
 * unknown.
 */
export function whoWrote(object: KubernetesObject | undefined, pointer: string): string | undefined {
  const segments = pointerNames(pointer);
  return latestOf(object, ({ fieldsV1 }) => owns(fieldsV1, segments));
}

export function isEngine(writer: string | undefined): boolean {
  return writer === fieldManager || writer?.startsWith(`${fieldManager} `) === true;
}

/**
 * Whether the engine was the last to set the object's revision: a MeshUpgrade has moved this gateway from another
 * revision.
 */
export function isMovedToRevision(object: KubernetesObject): boolean {
  return isEngine(whoWrote(object, "/metadata/labels/istio.io~1rev"));
}

/** Whether a Canary holds the Deployment: the engine has paused it, and nobody else has set the field since. */
export function isHeldByCanary(object: (KubernetesObject & { readonly spec?: object }) | undefined): boolean {
  const spec: { readonly paused?: boolean } | undefined = object?.spec;
  return spec?.paused === true && isEngine(whoWrote(object, "/spec/paused"));
}

/** The last writer of the object other than this engine. */
export function lastWriter(object: KubernetesObject | undefined): string | undefined {
  return latestOf(object, ({ manager }) => manager !== fieldManager);
}

function latestOf(
  object: KubernetesObject | undefined,
  isMeant: (entry: ManagedFieldsEntry) => boolean,
): string | undefined {
  const [latest] = (object?.metadata.managedFields ?? [])
    .filter(isMeant)
    .toSorted((a, b) => (b.time ?? "").localeCompare(a.time ?? ""));
  return latest === undefined ? undefined : described(latest);
}

/** Whether this engine has written a field of the object. True if the server keeps no field managers. */
export function isOurs(object: KubernetesObject): boolean {
  const entries = object.metadata.managedFields ?? [];
  return entries.length === 0 || entries.some(({ manager }) => manager === fieldManager);
}

/**
 * Whether the set claims the path. Claims of lists name no positions, so a claim of a list covers each of its elements.
 */
function owns(fields: unknown, segments: readonly string[]): boolean {
  let at: unknown = fields;
  for (const segment of segments) {
    if (typeof at !== "object" || at === null) return false;
    const next = (at as Record<string, unknown>)[`f:${segment}`];
    if (next === undefined) return at !== fields && /^\d+$/.test(segment);
    at = next;
  }
  return true;
}

function described({ manager = "somebody", time }: ManagedFieldsEntry): string {
  return time === undefined ? manager : `${manager} at ${time}`;
}
