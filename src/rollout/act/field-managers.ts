import type { ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";
import { fieldManager } from "./object-access.ts";

/** Who wrote a field last, `kubectl-edit at 2026-11-20T12:00:00Z`, as the API server keeps it; undefined when it does not say. */
export function whoWrote(object: UntypedObject | undefined, pointer: string): string | undefined {
  const segments = pointer.split("/").slice(1).map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"));
  const entries = (object?.metadata.managedFields ?? []).filter(({ fieldsV1 }) => owns(fieldsV1, segments));
  const [latest] = entries.toSorted((a, b) => (b.time ?? "").localeCompare(a.time ?? ""));
  return latest === undefined ? undefined : described(latest);
}

/** Who wrote anything of it last, apart from this engine. */
export function lastWriter(object: UntypedObject | undefined): string | undefined {
  const others = (object?.metadata.managedFields ?? []).filter(({ manager }) => manager !== fieldManager);
  const [latest] = others.toSorted((a, b) => (b.time ?? "").localeCompare(a.time ?? ""));
  return latest === undefined ? undefined : described(latest);
}

/** Whether this engine has written any of it; true when the server keeps no such record. */
export function isOurs(object: UntypedObject): boolean {
  const entries = object.metadata.managedFields ?? [];
  return entries.length === 0 || entries.some(({ manager }) => manager === fieldManager);
}

/** A list owned as a whole, or by elements told apart by keys, is owned from there on. */
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
