import { pointerNames } from "../../../base/index.ts";
import type { KubernetesObject, ManagedFieldsEntry } from "../../meta.ts";

/** The field manager of the rollout engine. */
export const fieldManager = "serin-rollout";

/**
 * The last writer of a field, such as `kubectl-edit at 2026-11-20T12:00:00Z`, according to the API server. Undefined if
 * unknown.
 */
export function whoWrote(object: KubernetesObject | undefined, pointer: string): string | undefined {
  const segments = pointerNames(pointer);
  return latestOf(object, ({ fieldsV1 }) => owns(fieldsV1, segments));
}

/** Whether the writer, as {@link whoWrote} returns it, is this engine. */
export function isEngine(writer: string | undefined): boolean {
  return writer === fieldManager || writer?.startsWith(`${fieldManager} `) === true;
}

/** Whether the engine set the object's revision: a MeshUpgrade has moved this gateway from another revision. */
export function isMovedToRevision(object: KubernetesObject): boolean {
  return isEngine(whoWrote(object, "/metadata/labels/istio.io~1rev"));
}

/** Whether a Canary holds the Deployment: the engine has paused it, and nobody else has set the field since. */
export function isHeldByCanary(object: (KubernetesObject & { readonly spec?: object }) | undefined): boolean {
  const spec: { readonly paused?: boolean } | undefined = object?.spec;
  return spec?.paused === true && isEngine(whoWrote(object, "/spec/paused"));
}

/** The last writer of any part of the object, apart from this engine. */
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

/** Whether this engine has written any field of the object. True if the server keeps no field managers. */
export function isOurs(object: KubernetesObject): boolean {
  const entries = object.metadata.managedFields ?? [];
  return entries.length === 0 || entries.some(({ manager }) => manager === fieldManager);
}

/** A list that is owned as a whole, or by keyed elements, counts as owned with all its contents. */
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

/**
 * The field managers without this engine's claim to the field and everything below it. Undefined if the engine has no
 * such claim. Also undefined if no manager would be left, because a server then keeps the former ones.
 */
export function withoutClaim(
  { metadata: { managedFields = [] } }: KubernetesObject,
  pointer: string,
): ManagedFieldsEntry[] | undefined {
  const segments = pointerNames(pointer).map((name) => `f:${name}`);
  let isChanged = false;
  const left = managedFields.flatMap((entry) => {
    const { manager, operation, subresource, fieldsV1 } = entry;
    if (manager !== fieldManager || operation !== "Update" || (subresource ?? "") !== "") return [entry];
    const fields = withoutField(fieldsV1, segments);
    if (fields === fieldsV1) return [entry];
    isChanged = true;
    return Object.keys(fields).length === 0 ? [] : [{ ...entry, fieldsV1: fields }];
  });
  return isChanged && left.length > 0 ? left : undefined;
}

type FieldSet = Readonly<Record<string, unknown>>;

/**
 * The set of fields without one of them, and without parents that would be left empty. Returns the same set if it does
 * not contain the field.
 */
function withoutField(fields: unknown, [segment = "", ...more]: readonly string[]): FieldSet {
  const set = (fields ?? {}) as FieldSet;
  const inner = set[segment];
  if (typeof inner !== "object" || inner === null) return set;
  const { [segment]: _claim, ...others } = set;
  if (more.length === 0) return others;
  const left = withoutField(inner, more);
  if (left === inner) return set;
  return Object.keys(left).length === 0 ? others : { ...others, [segment]: left };
}
