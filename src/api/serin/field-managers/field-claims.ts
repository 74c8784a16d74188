import type { ManagedFieldsEntry } from "../../meta.ts";

export interface FieldClaim {
  readonly manager: string;
  /** The members of `fieldsV1` that lead to the field: `f:spec` and `f:replicas`, or `k:{"name":"web"}` in a list. */
  readonly path: readonly string[];
}

/**
 * The field managers of an object without one manager's claim to a field and everything below it, so that others can
 * change the field by server-side apply. Only claims by an Update of the object itself count, not by Apply or on a
 * subresource. Undefined if there is no such claim, or if no manager would be left, because a server then keeps the
 * former managers.
 */
export function withoutClaim(
  managedFields: readonly ManagedFieldsEntry[],
  { manager, path }: FieldClaim,
): ManagedFieldsEntry[] | undefined {
  let isChanged = false;
  const left = managedFields.flatMap((entry) => {
    if (entry.manager !== manager || entry.operation !== "Update" || (entry.subresource ?? "") !== "") return [entry];
    const fields = withoutField(entry.fieldsV1, path);
    if (fields === entry.fieldsV1) return [entry];
    isChanged = true;
    return Object.keys(fields).length === 0 ? [] : [{ ...entry, fieldsV1: fields }];
  });
  return isChanged && left.length > 0 ? left : undefined;
}

type FieldSet = Readonly<Record<string, unknown>>;

/**
 * The set of fields without the one at the path. Also removes parents that become empty. Returns the same set if it
 * does not contain the field.
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
