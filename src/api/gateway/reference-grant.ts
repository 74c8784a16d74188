import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { gatewayGroup, warnOfUnknown } from "./references.ts";

export interface ReferenceGrant extends KubernetesObject {
  spec: {
    from: { group: string; kind: string; namespace: string }[];
    /** The objects that may be referred to. An entry without a name means all objects of its kind. */
    to: { group: string; kind: string; name?: string | undefined }[];
  };
}

function parseReferenceGrant(raw: unknown): Parsed<ReferenceGrant> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  if (spec === undefined) object.required("spec", undefined);
  const from = (spec?.list("from") ?? []).map((reader) => ({
    group: reader.string("group") ?? "",
    kind: reader.required("kind", reader.string("kind")) ?? "",
    namespace: reader.required("namespace", reader.string("namespace")) ?? "",
  }));
  const to = (spec?.list("to") ?? []).map((reader) => ({
    group: reader.string("group") ?? "",
    kind: reader.required("kind", reader.string("kind")) ?? "",
    name: reader.string("name"),
  }));
  if (spec !== undefined) {
    if (from.length === 0) spec.error("must have at least one entry", "from");
    if (to.length === 0) spec.error("must have at least one entry", "to");
    warnOfUnknown(spec);
  }
  return object.finish(() => ({ ...(raw as ReferenceGrant), spec: { from, to } }));
}

export const referenceGrantKind = defineKind<ReferenceGrant>({
  group: gatewayGroup,
  versions: ["v1beta1", "v1", "v1alpha2"],
  kind: "ReferenceGrant",
  plural: "referencegrants",
  namespaced: true,
  parse: parseReferenceGrant,
});
