import type { LabelSelector } from "../meta.ts";
import type { Reader } from "../reader.ts";

export const securityGroup = "security.istio.io";

/** What a policy is attached to instead of a selector: a Gateway, Service, GatewayClass or ServiceEntry. */
export interface PolicyTargetReference {
  group: string;
  kind: string;
  name: string;
  namespace?: string | undefined;
}

export function readWorkloadSelector(reader: Reader): LabelSelector | undefined {
  const selector = reader.object("selector");
  if (selector === undefined) return undefined;
  const matchLabels = { ...selector.stringMap("matchLabels") };
  warnOfUnknown(selector);
  return { matchLabels };
}

export function readTargetReferences(reader: Reader): PolicyTargetReference[] {
  const readers = [...reader.list("targetRefs")];
  const single = reader.object("targetRef");
  if (single !== undefined) readers.push(single);
  return readers.map((target) => ({
    group: target.string("group") ?? "",
    kind: target.required("kind", target.string("kind")) ?? "",
    name: target.required("name", target.string("name")) ?? "",
    namespace: target.string("namespace"),
  }));
}

/** A field that we do not know may be newer than we are: it is said, but refuses nothing. */
export function warnOfUnknown(reader: Reader): void {
  reader.unknownFields((field) => reader.warn("is not known here and has no effect", field));
}
