import { canonicalJson, isTree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { named, type DefinitionChange, type DefinitionChangeType } from "../report.ts";
import { isList, type Json } from "../tree-diff.ts";

export type StoredObject = UntypedObject;

export interface DefinitionsInput {
  readonly before: readonly UntypedObject[];
  readonly after: readonly UntypedObject[];
  /** The stored objects of each CRD, by its name, such as `virtualservices.networking.istio.io`. */
  readonly stored: ReadonlyMap<string, readonly StoredObject[]>;
}

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly schema: Json;
}

type Schema = Readonly<Record<string, Json>>;
type PathWord = string | typeof anyElement;
/** In a path, stands for every element of a list or map. */
const anyElement = Symbol("element");

/** The API groups that a control plane of the mesh reads. */
const meshGroups = /(^|\.)istio\.io$|^gateway\.networking\.k8s\.io$/;
/** The API groups that every installation of Istio has. Leaves out `install.istio.io`, the group of its operator. */
const installedGroups = /^(?!install\.)[a-z]+\.istio\.io$/;

export function isMeshGroup(group: string): boolean {
  return meshGroups.test(group);
}

/**
 * The CRDs of a release that matter if the upgrade writes no CRDs: those of the mesh's kinds that the cluster has, and
 * those of new kinds that a control plane reads. The other CRDs of a release are for its operators, the Gateway API and
 * the lab.
 */
export function concernedDefinitions(
  release: readonly UntypedObject[],
  cluster: readonly UntypedObject[],
): readonly UntypedObject[] {
  const known = new Set(cluster.map(({ metadata }) => metadata.name));
  return release.filter((definition) => {
    const { group } = definition["spec"] as { readonly group: string };
    return isMeshGroup(group) && (known.has(definition.metadata.name) || installedGroups.test(group));
  });
}

const maxDepth = 40;

/**
 * Compares the CRDs, and finds the stored objects that each change concerns. Also reports kinds that only one side has.
 * A release has the CRDs of the Gateway API once for each channel. An upgrade does not change the channel, so only the
 * variant that is closest to the cluster's CRD counts.
 */
export function compareDefinitions({ before, after, stored }: DefinitionsInput): DefinitionChange[] {
  const old = new Map(before.map((definition) => [definition.metadata.name ?? "", definition]));
  const variants = Map.groupBy(after, ({ metadata }) => metadata.name ?? "");
  return [...variants].flatMap(([name, definitions]): DefinitionChange[] => {
    const was = old.get(name);
    if (was === undefined)
      return [{ definition: name, type: "kind-added", detail: "a kind that the cluster does not have yet", ...none }];
    const [closest = []] = definitions
      .map((definition) => compareDefinition(name, was, definition, stored.get(name) ?? []))
      .toSorted((left, right) => left.length - right.length);
    return closest;
  });
}

const none = { objects: [], total: 0 } as const;

function compareDefinition(
  definition: string,
  before: UntypedObject,
  after: UntypedObject,
  stored: readonly StoredObject[],
): DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  const [old, now] = [versionsOf(before), versionsOf(after)];
  const add = (
    type: DefinitionChangeType,
    version: string,
    detail: string,
    objects: readonly StoredObject[] = [],
    field?: string,
  ): void => {
    changes.push({
      definition,
      type,
      version,
      detail,
      ...(field === undefined ? {} : { field }),
      ...named(objects.map(label)),
    });
  };
  const storedVersions =
    (before["status"] as { readonly storedVersions?: readonly string[] } | undefined)?.storedVersions ?? [];
  for (const version of old) {
    const next = now.find(({ name }) => name === version.name);
    if (next === undefined)
      add(
        "version-gone",
        version.name,
        storedVersions.includes(version.name)
          ? "was removed, but objects are still stored in it: the API server refuses that"
          : "was removed",
        storedVersions.includes(version.name) ? stored : [],
      );
    else if (version.served && !next.served)
      add("version-unserved", version.name, "is no longer served: clients that request it fail");
    else
      compareSchemas(version, next, (type, path, detail, concerns) =>
        add(
          type,
          version.name,
          detail,
          stored.filter((object) => concerns(object)),
          pathText(path),
        ),
      );
  }
  for (const version of now)
    if (!old.some(({ name }) => name === version.name)) add("version-added", version.name, "is new");
  const [wasStored, isStored] = [old.find(({ storage }) => storage)?.name, now.find(({ storage }) => storage)?.name];
  if (wasStored !== undefined && isStored !== undefined && wasStored !== isStored)
    add("storage-moved", isStored, `the next write stores an object as ${isStored} instead of ${wasStored}`);
  return changes;
}

function versionsOf(definition: UntypedObject): Version[] {
  const spec = definition["spec"] as { readonly versions?: readonly Readonly<Record<string, unknown>>[] } | undefined;
  return (spec?.versions ?? []).map((version) => ({
    name: String(version["name"]),
    served: version["served"] === true,
    storage: version["storage"] === true,
    schema: ((version["schema"] as Readonly<Record<string, unknown>> | undefined)?.["openAPIV3Schema"] ?? {}) as Json,
  }));
}

function label({ kind = "", metadata: { name = "", namespace } }: StoredObject): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

type Tell = (
  type: DefinitionChangeType,
  path: readonly PathWord[],
  detail: string,
  concerns: (object: StoredObject) => boolean,
) => void;

function compareSchemas(before: Version, after: Version, report: Tell): void {
  if (isTree(before.schema) && isTree(after.schema)) walk(before.schema, after.schema, [], report);
}

function walk(before: Schema, after: Schema, path: readonly PathWord[], report: Tell): void {
  if (path.length > maxDepth) return;
  compareValues(before, after, path, report);
  const [properties, next] = [treeOf(before["properties"]), treeOf(after["properties"])];
  const keepsAll = after["x-kubernetes-preserve-unknown-fields"] === true;
  for (const [field, schema] of Object.entries(properties)) {
    const inner = next[field];
    const at = [...path, field];
    if (isTree(inner) && isTree(schema)) walk(schema, inner, at, report);
    else if (inner === undefined && !keepsAll && !isOpen(after))
      report("field-gone", at, "was removed: the API server drops it when an object is written", (object) =>
        hasField(object, at),
      );
  }
  for (const field of Object.keys(next))
    if (properties[field] === undefined) report("field-added", [...path, field], "is new", () => false);
  const [items, nextItems] = [before["items"], after["items"]];
  if (isTree(items) && isTree(nextItems)) walk(items, nextItems, [...path, anyElement], report);
  const [map, nextMap] = [before["additionalProperties"], after["additionalProperties"]];
  if (isTree(map) && isTree(nextMap)) walk(map, nextMap, [...path, anyElement], report);
}

/** Whether the schema accepts fields that it does not name. */
function isOpen(schema: Schema): boolean {
  return schema["additionalProperties"] !== undefined && schema["additionalProperties"] !== false;
}

function compareValues(before: Schema, after: Schema, path: readonly PathWord[], report: Tell): void {
  const [type, next] = [before["type"], after["type"]];
  if (typeof type === "string" && typeof next === "string" && type !== next)
    report("type-changed", path, `is ${next}, was ${type}`, (object) => hasField(object, path));
  const values = listOf(after["enum"]);
  const gone = values.length === 0 ? [] : listOf(before["enum"]).filter((value) => !values.includes(value));
  if (gone.length > 0)
    report("values-gone", path, `no longer accepts ${gone.map(canonicalJson).join(", ")}`, (object) =>
      valuesAt(object, path).some((value) => gone.includes(value)),
    );
  const required = textsOf(after["required"]).filter((field) => !textsOf(before["required"]).includes(field));
  for (const field of required)
    report("required-added", [...path, field], "is required", (object) =>
      valuesAt(object, path).some((value) => isTree(value) && value[field] === undefined),
    );
  const rules = (schema: Schema): string[] =>
    textsOf(listOf(schema["x-kubernetes-validations"]).map((rule) => (isTree(rule) ? (rule["rule"] ?? null) : null)));
  const added = rules(after).filter((rule) => !rules(before).includes(rule));
  for (const rule of added) report("rule-added", path, `has the new rule ${rule}`, () => false);
}

function listOf(value: Json | undefined): readonly Json[] {
  return isList(value) ? value : [];
}

function textsOf(value: Json | undefined): string[] {
  return listOf(value).filter((element) => typeof element === "string");
}

function treeOf(value: Json | undefined): Schema {
  return isTree(value) ? value : {};
}

function hasField(object: StoredObject, path: readonly PathWord[]): boolean {
  return valuesAt(object, path).length > 0;
}

/** All values at a path. The path may lead through every element of a list or map. */
function valuesAt(object: StoredObject, path: readonly PathWord[]): Json[] {
  let found: Json[] = [object as unknown as Json];
  for (const word of path) {
    found = found.flatMap((value): Json[] => {
      if (word === anyElement) return isList(value) ? [...value] : isTree(value) ? Object.values(value) : [];
      const inner = isTree(value) ? value[word] : undefined;
      return inner === undefined ? [] : [inner];
    });
  }
  return found;
}

function pathText(path: readonly PathWord[]): string {
  return path
    .map((word) => (word === anyElement ? "[]" : `.${word}`))
    .join("")
    .replace(/^\./, "");
}
