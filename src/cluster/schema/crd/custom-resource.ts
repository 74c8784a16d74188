import { stringOf } from "../../../base/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import type { BuiltInShapes } from "../built-in-shapes.ts";
import type { ResourceType, SubresourceType } from "../contract.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import { CustomModel, scaleOf } from "./custom-model.ts";

const verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"] as const;
const subresourceVerbs = ["get", "patch", "update"] as const;

/** A CRD with its served versions, the preferred one first. */
export interface CustomResource {
  readonly name: string;
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly models: readonly CustomModel[];
}

export function parseCustomResource(definition: KubernetesObject, shapes: BuiltInShapes): CustomResource {
  const spec = objectOf((definition as unknown as JsonObject).spec);
  const names = objectOf(spec.names);
  const name = definition.metadata.name ?? "";
  const all = arrayOf(spec.versions).filter(isObject);
  const storage = stringOf(all.find((version) => version.storage === true)?.name);
  const served = all
    .filter((version) => version.served === true)
    .sort((a, b) => compareVersions(stringOf(b.name), stringOf(a.name)));
  const models = served.map((version) => new CustomModel(resourceType(name, spec, version, storage), version, shapes));
  return { name, group: stringOf(spec.group), kind: stringOf(names.kind), plural: stringOf(names.plural), models };
}

function resourceType(name: string, spec: JsonObject, version: JsonObject, storageVersion: string): ResourceType {
  const names = objectOf(spec.names);
  const [group, kind, plural] = [stringOf(spec.group), stringOf(names.kind), stringOf(names.plural)];
  const scale = scaleOf(version);
  const selectableFields = arrayOf(version.selectableFields).map((field) =>
    stringOf(objectOf(field).jsonPath).replace(/^\./, ""),
  );
  const deprecationWarning = version.deprecated === true ? deprecationWarningOf(version, spec) : undefined;
  return {
    group,
    version: stringOf(version.name),
    kind,
    listKind: stringOf(names.listKind) || `${kind}List`,
    plural,
    singular: stringOf(names.singular) || kind.toLowerCase(),
    shortNames: arrayOf(names.shortNames).map(stringOf),
    categories: arrayOf(names.categories).map(stringOf),
    namespaced: spec.scope === "Namespaced",
    verbs,
    subresources: subresources(group, kind, version),
    storageVersion,
    storageKey: `${group}/${plural}`,
    builtIn: false,
    customResourceDefinition: name,
    ...(scale === undefined ? {} : { scale }),
    ...(selectableFields.length === 0 ? {} : { selectableFields }),
    ...(deprecationWarning === undefined ? {} : { deprecationWarning }),
  };
}

/** The warning that the CRD states. Without one, the warning names the newest version. */
function deprecationWarningOf(version: JsonObject, spec: JsonObject): string {
  if (typeof version.deprecationWarning === "string") return version.deprecationWarning;
  const [group, kind] = [stringOf(spec.group), stringOf(objectOf(spec.names).kind)];
  const name = stringOf(version.name);
  const newest = arrayOf(spec.versions)
    .filter(isObject)
    .filter((other) => other.served === true && other.deprecated !== true)
    .map((other) => stringOf(other.name))
    .filter((other) => compareVersions(other, name) > 0)
    .sort(compareVersions)
    .at(-1);
  const remedy = newest === undefined ? "" : `; use ${group}/${newest} ${kind}`;
  return `${group}/${name} ${kind} is deprecated${remedy}`;
}

function subresources(group: string, kind: string, version: JsonObject): SubresourceType[] {
  const declared = objectOf(version.subresources);
  const result: SubresourceType[] = [];
  if (isObject(declared.status))
    result.push({ name: "status", group, version: stringOf(version.name), kind, verbs: subresourceVerbs });
  if (isObject(declared.scale))
    result.push({ name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: subresourceVerbs });
  return result;
}

/**
 * Compares versions in Kubernetes' order: v2, v1, v1beta2, v1alpha1, then all others by name. The newest version is the
 * greatest.
 */
function compareVersions(a: string, b: string): number {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  if (left === undefined || right === undefined) return left === right ? (a < b ? 1 : -1) : left === undefined ? -1 : 1;
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function parseVersion(text: string): [stage: number, major: number, minor: number] | undefined {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const stage = match[2] === undefined ? 2 : match[2] === "beta" ? 1 : 0;
  return [stage, Number(match[1]), Number(match[3] ?? 0)];
}
