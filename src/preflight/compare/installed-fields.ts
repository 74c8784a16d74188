import { canonicalJson, isTree } from "../../base/index.ts";
import type { ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";
import { isList, type Json } from "../tree-diff.ts";

type FieldSet = Readonly<Record<string, unknown>>;

/**
 * Field managers that are controllers. No user asked for the values that they write, such as an autoscaler's replicas,
 * a webhook's CA bundle or a rollout's counter.
 */
const controllers =
  /^(kube-controller-manager|kube-scheduler|kubelet|istiod|pilot-discovery|serin-rollout|cluster-autoscaler|ztunnel)/;

/**
 * The fields of a live object that a person or an installer wrote, according to its `managedFields`. Leaves out the
 * status, defaults of the API server, and fields of controllers. Without `managedFields`, returns all fields.
 */
export function writtenFields(object: UntypedObject): Json {
  const entries = (object.metadata.managedFields ?? []).filter(isWriter);
  const whole = withoutServerFields(object);
  if (entries.length === 0) return whole;
  const fields = entries.map(({ fieldsV1 }) => fieldsV1 ?? {}).reduce<FieldSet>(union, {});
  const projected = project(whole, fields);
  const identity: Record<string, Json> = { apiVersion: object.apiVersion ?? "", kind: object.kind ?? "" };
  const metadata = isTree(projected) && isTree(projected["metadata"]) ? projected["metadata"] : {};
  const { name = "", namespace } = object.metadata;
  return {
    ...(isTree(projected) ? projected : {}),
    ...identity,
    metadata: { ...metadata, name, ...(namespace === undefined ? {} : { namespace }) },
  };
}

function isWriter({ manager = "", subresource, fieldsV1 }: ManagedFieldsEntry): boolean {
  return (subresource === undefined || subresource === "") && fieldsV1 !== undefined && !controllers.test(manager);
}

export function withoutServerFields(object: UntypedObject): Json {
  const { status: _status, metadata, ...rest } = object;
  const {
    uid: _uid,
    resourceVersion: _version,
    generation: _generation,
    creationTimestamp: _created,
    managedFields: _managed,
    ...kept
  } = metadata;
  return JSON.parse(JSON.stringify({ ...rest, metadata: kept })) as Json;
}

function union(left: FieldSet, right: FieldSet): FieldSet {
  const merged: Record<string, unknown> = { ...left };
  for (const [key, inner] of Object.entries(right)) {
    const own = merged[key];
    merged[key] = own === undefined ? inner : union(own as FieldSet, inner as FieldSet);
  }
  return merged;
}

/**
 * The part of a value that a field set selects. Its keys have the encoding of `managedFields`: `f:field`,
 * `k:{"name":"x"}` or `v:"x"`.
 */
function project(value: Json, fields: FieldSet): Json {
  const keys = Object.keys(fields).filter((key) => key !== ".");
  if (keys.length === 0) return value;
  if (isList(value)) return value.flatMap((element) => projectElement(element, keys, fields));
  if (!isTree(value)) return value;
  const kept: Record<string, Json> = {};
  for (const key of keys) {
    const field = key.slice("f:".length);
    const inner = value[field];
    if (key.startsWith("f:") && inner !== undefined) kept[field] = project(inner, fields[key] as FieldSet);
  }
  return kept;
}

function projectElement(element: Json, keys: readonly string[], fields: FieldSet): Json[] {
  for (const key of keys) {
    if (key.startsWith("v:") && canonicalJson(JSON.parse(key.slice("v:".length)) as Json) === canonicalJson(element))
      return [element];
    if (!key.startsWith("k:") || !isTree(element)) continue;
    const wanted = JSON.parse(key.slice("k:".length)) as Readonly<Record<string, Json>>;
    const isIt = Object.entries(wanted).every(
      ([name, value]) => canonicalJson(element[name] ?? null) === canonicalJson(value),
    );
    if (isIt) return [{ ...wanted, ...(project(element, fields[key] as FieldSet) as object) }];
  }
  return [];
}
