import { stringify } from "yaml";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { UntypedObject } from "../../api/index.ts";

/** The object's YAML without managed fields, with its fields in the order in which people write them. */
export function manifestYaml({ apiVersion, kind, metadata, ...others }: UntypedObject): string {
  const { managedFields: _left, ...kept } = metadata;
  return stringify({ apiVersion, kind, metadata: kept, ...others }, { ...writtenForKubernetes, lineWidth: 0 });
}
