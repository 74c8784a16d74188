import type { ManagedFieldsEntry } from "../../../api/index.ts";
import { isObject, type JsonObject } from "../json.ts";
import { FieldSet } from "./field-set.ts";
import type { Managers } from "./updater.ts";

/**
 * The maximum number of entries of updaters. For each API version, the oldest entries are merged into one of the
 * manager {@link ancientChanges}.
 */
const maxUpdateManagers = 10;
const ancientChanges = "ancient-changes";

const strippedFields = new FieldSet();
for (const path of ["apiVersion", "kind", "metadata"]) strippedFields.insert([`f:${path}`]);
for (const field of [
  "name",
  "namespace",
  "creationTimestamp",
  "selfLink",
  "uid",
  "clusterName",
  "generation",
  "managedFields",
  "resourceVersion",
]) {
  strippedFields.insert(["f:metadata", `f:${field}`]);
}

export interface Managed {
  readonly managers: Managers;
  /** The time of each manager's entry, by the manager's identity. */
  readonly times: Map<string, string>;
}

/** The identity of a manager. An applier is identified by its name, and an updater by its name and API version. */
export function managerIdentity(entry: ManagedFieldsEntry): string {
  const { manager = "unknown", operation = "Update", apiVersion = "", subresource = "" } = entry;
  return JSON.stringify({ manager, operation, apiVersion: operation === "Apply" ? "" : apiVersion, subresource });
}

/**
 * Caches of sets and their JSON, both of which are immutable. Most writes change the fields of only one manager, so
 * they reuse the sets of the other managers from the previous write.
 */
const setsByJson = new WeakMap<JsonObject, FieldSet>();
const jsonBySet = new WeakMap<FieldSet, JsonObject>();

function setOf(fieldsV1: unknown): FieldSet {
  if (!isObject(fieldsV1)) return new FieldSet();
  let set = setsByJson.get(fieldsV1);
  if (set === undefined) setsByJson.set(fieldsV1, (set = FieldSet.fromJson(fieldsV1)));
  return set;
}

function jsonOf(set: FieldSet): JsonObject {
  let json = jsonBySet.get(set);
  if (json === undefined) {
    json = set.toJson();
    jsonBySet.set(set, json);
    setsByJson.set(json, set);
  }
  return json;
}

export function decodeManagedFields(entries: readonly ManagedFieldsEntry[] | undefined): Managed {
  const managers: Managers = new Map();
  const times = new Map<string, string>();
  for (const entry of entries ?? []) {
    const identity = managerIdentity(entry);
    managers.set(identity, {
      set: setOf(entry.fieldsV1),
      apiVersion: entry.apiVersion ?? "",
      applied: entry.operation === "Apply",
    });
    if (entry.time !== undefined) times.set(identity, entry.time);
  }
  return { managers, times };
}

export function encodeManagedFields({ managers, times }: Managed): ManagedFieldsEntry[] {
  const entries = [...managers].map(([identity, owned]): ManagedFieldsEntry => {
    const { manager, operation, subresource } = JSON.parse(identity) as {
      manager: string;
      operation: "Apply" | "Update";
      subresource: string;
    };
    const time = times.get(identity);
    return {
      manager,
      operation,
      apiVersion: owned.apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: "FieldsV1",
      fieldsV1: jsonOf(owned.set),
      ...(subresource === "" ? {} : { subresource }),
    };
  });
  return entries.sort(compareEntries);
}

function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  const order = (left = "", right = ""): number => (left < right ? -1 : left > right ? 1 : 0);
  return (
    order(a.operation, b.operation) ||
    order(a.time, b.time) ||
    order(a.manager, b.manager) ||
    order(a.apiVersion, b.apiVersion) ||
    order(a.subresource, b.subresource)
  );
}

/** Removes the fields that no manager may own from the set of the manager `identity`. Changes `managers` in place. */
export function stripFields(managers: Managers, identity: string): void {
  const owned = managers.get(identity);
  if (owned === undefined) return;
  const set = owned.set.difference(strippedFields);
  if (set.empty) managers.delete(identity);
  else managers.set(identity, { ...owned, set });
}

/** Merges the oldest updaters if there are more than {@link maxUpdateManagers}. Changes the maps in place. */
export function capUpdateManagers({ managers, times }: Managed): void {
  const updaters = [...managers].filter(([, owned]) => !owned.applied);
  if (updaters.length <= maxUpdateManagers) return;
  updaters.sort(([a], [b]) => ((times.get(a) ?? "") < (times.get(b) ?? "") ? -1 : 1));
  for (const [identity, owned] of updaters.slice(0, updaters.length - maxUpdateManagers + 1)) {
    const ancient = managerIdentity({ manager: ancientChanges, operation: "Update", apiVersion: owned.apiVersion });
    if (identity === ancient) continue;
    const set = (managers.get(ancient)?.set ?? new FieldSet()).union(owned.set);
    const time = times.get(identity);
    managers.delete(identity);
    managers.set(ancient, { set, apiVersion: owned.apiVersion, applied: false });
    if (time !== undefined) times.set(ancient, time);
  }
}
