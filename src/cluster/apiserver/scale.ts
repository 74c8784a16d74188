import { isTree, ownField } from "../../base/index.ts";
import { formatLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { ResourceType, ScalePaths } from "../schema/contract.ts";
import { fieldErrors } from "../schema/field-error.ts";
import { isObject, setOwn, type JsonObject } from "../schema/json.ts";
import { badRequest, conflict, invalid } from "./status.ts";

const maximumReplicas = 2 ** 31 - 1;

function pathsOf(type: ResourceType): ScalePaths {
  return (
    type.scale ?? {
      specReplicasPath: "spec.replicas",
      statusReplicasPath: "status.replicas",
      labelSelectorPath: "spec.selector",
    }
  );
}

function keysOf(path: string): string[] {
  return path.split(".").filter((key) => key !== "");
}

function read(object: UntypedObject, path: string): unknown {
  return keysOf(path).reduce<unknown>((at, key) => (isTree(at) ? ownField(at, key) : undefined), object);
}

export function scaleOf(type: ResourceType, object: UntypedObject): UntypedObject {
  const paths = pathsOf(type);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = selectorText(
    paths.labelSelectorPath === undefined ? undefined : read(object, paths.labelSelectorPath),
  );
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp } as UntypedObject["metadata"],
    spec: { replicas: Number(read(object, paths.specReplicasPath) ?? 0) },
    status: {
      replicas: Number(read(object, paths.statusReplicasPath) ?? 0),
      ...(selector === undefined ? {} : { selector }),
    },
  };
}

function selectorText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return undefined;
  const selector = value as LabelSelector;
  if (selector.matchLabels !== undefined || selector.matchExpressions !== undefined)
    return formatLabelSelector(selector);
  return formatLabelSelector({ matchLabels: value as Record<string, string> });
}

/**
 * Sets the replicas of `object` to those of the Scale, and returns `object`. Throws 409 if the Scale has another
 * resourceVersion.
 */
export function withScale(type: ResourceType, object: UntypedObject, scale: UntypedObject): UntypedObject {
  const wanted = scale.metadata?.resourceVersion ?? "";
  if (wanted !== "" && wanted !== object.metadata.resourceVersion) throw conflict(type, object.metadata.name ?? "");
  const replicas = (scale["spec"] as { replicas?: number } | undefined)?.replicas ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0)
    throw invalid({ group: "autoscaling", kind: "Scale" }, object.metadata.name ?? "", [
      fieldErrors.invalid("spec.replicas", replicas, "must be greater than or equal to 0"),
    ]);
  // Refuse numbers beyond int32. Go clients read replicas as int32, and could otherwise not read any list with this
  // object.
  if (replicas > maximumReplicas)
    throw badRequest(
      `Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal number ${replicas} into Go struct field ScaleSpec.spec.replicas of type int32`,
    );
  const keys = keysOf(pathsOf(type).specReplicasPath);
  const last = keys.pop() ?? "replicas";
  let at: JsonObject = object;
  for (const key of keys) {
    const present = ownField(at, key);
    const next = isObject(present) ? present : {};
    if (next !== present) setOwn(at, key, next);
    at = next;
  }
  setOwn(at, last, replicas);
  return object;
}
