import type { View } from "../../../api/dashboard/index.ts";
import { structurallyEqual } from "../../../kube/index.ts";

export interface ViewChange {
  readonly head: View["head"];
  readonly set: View["tables"];
  readonly gone: Readonly<Record<string, readonly string[]>>;
}

type Rows = Readonly<Record<string, object>>;

/** The change from one view to the next. Undefined if they differ in nothing but `head.atMs`. */
export function diffViews(before: View, after: View): ViewChange | undefined {
  const set: Record<string, Rows> = {};
  const gone: Record<string, readonly string[]> = {};
  for (const name of new Set([...Object.keys(before.tables), ...Object.keys(after.tables)])) {
    const old = before.tables[name] ?? {};
    const next = after.tables[name] ?? {};
    if (old === next) continue;
    const changed = changedRows(old, next);
    if (changed !== undefined) set[name] = changed;
    const left = Object.keys(old).filter((key) => !Object.hasOwn(next, key));
    if (left.length > 0) gone[name] = left;
    // A table that is new and empty is a change too.
    if (before.tables[name] === undefined && changed === undefined) set[name] = {};
  }
  const isSameHead = structurallyEqual({ ...before.head, atMs: 0 }, { ...after.head, atMs: 0 });
  if (isSameHead && Object.keys(set).length === 0 && Object.keys(gone).length === 0) return undefined;
  return { head: after.head, set, gone };
}

type Row = Readonly<Record<string, unknown>>;

/** Compares as `structurallyEqual` does, but allocates no lists of keys: thousands of rows are compared each second. */
function sameRow(was: Row, row: Row): boolean {
  let left = 0;
  for (const key in was) {
    if (!Object.hasOwn(row, key)) return false;
    const [before, after] = [was[key], row[key]];
    if (before !== after && !structurallyEqual(before, after)) return false;
    left += 1;
  }
  for (const key in row) if (Object.hasOwn(row, key)) left -= 1;
  return left === 0;
}

function changedRows(old: Rows, next: Rows): Rows | undefined {
  let changed: Record<string, object> | undefined;
  for (const key of Object.keys(next)) {
    const row = next[key] ?? {};
    const was = Object.hasOwn(old, key) ? old[key] : undefined;
    if (was !== undefined && sameRow(was as Row, row as Row)) continue;
    // The object has no prototype, because a key may be any text, even `__proto__`.
    changed ??= Object.create(null) as Record<string, object>;
    changed[key] = row;
  }
  return changed;
}
