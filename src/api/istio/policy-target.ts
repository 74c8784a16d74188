import type { LabelSelector } from "../meta.ts";
import type { Reader } from "../reader.ts";
import { checkSelectorLabels } from "./checks.ts";
import { refuseUnknown, requireText } from "./fields.ts";

export const securityGroup = "security.istio.io";

/** The target of a policy that has no selector: a Gateway, Service, GatewayClass or ServiceEntry. */
export interface PolicyTargetReference {
  group: string;
  kind: string;
  name: string;
  namespace?: string | undefined;
}

/**
 * The scope of a policy. Without a selector and references, it is the policy's whole namespace, or the whole mesh if
 * that is the root namespace.
 */
export interface PolicyTarget {
  selector?: LabelSelector | undefined;
  targetRefs: PolicyTargetReference[];
}

const targets = [
  { group: "", kind: "Service" },
  { group: "networking.istio.io", kind: "ServiceEntry" },
  { group: "gateway.networking.k8s.io", kind: "Gateway" },
  { group: "gateway.networking.k8s.io", kind: "GatewayClass" },
];
const maxTargets = 16;

/** Reads `selector`, and `targetRefs` or the deprecated `targetRef`. At most one of them may be set. */
export function readPolicyTarget(reader: Reader): PolicyTarget {
  const target = { selector: readWorkloadSelector(reader), targetRefs: readTargetReferences(reader) };
  if (target.selector !== undefined && target.targetRefs.length > 0)
    reader.error("cannot be combined with targetRefs", "selector");
  return target;
}

export function readWorkloadSelector(reader: Reader): LabelSelector | undefined {
  const selector = reader.object("selector");
  if (selector === undefined) return undefined;
  const matchLabels = { ...selector.stringMap("matchLabels") };
  checkSelectorLabels(selector, "matchLabels", matchLabels);
  refuseUnknown(selector);
  return { matchLabels };
}

export function readTargetReferences(reader: Reader): PolicyTargetReference[] {
  const readers = [...reader.objects("targetRefs")];
  const single = reader.object("targetRef");
  if (readers.length > maxTargets) reader.error(`must have at most ${maxTargets}, got ${readers.length}`, "targetRefs");
  if (single !== undefined && readers.length > 0) reader.error("cannot be combined with targetRefs", "targetRef");
  if (single !== undefined) readers.push(single);
  return readers.map(readTargetReference);
}

function readTargetReference(reader: Reader): PolicyTargetReference {
  const group = reader.string("group") ?? "";
  const target = {
    group: group === "core" ? "" : group,
    kind: requireText(reader, "kind"),
    name: requireText(reader, "name"),
    namespace: reader.string("namespace"),
  };
  if ((target.namespace ?? "") !== "")
    reader.error("must not be set: a policy applies to targets in its own namespace only", "namespace");
  if (target.kind !== "" && !targets.some((known) => known.kind === target.kind && known.group === target.group)) {
    const known = targets.map((entry) => (entry.group === "" ? entry.kind : `${entry.group}/${entry.kind}`)).join(", ");
    reader.error(`must be one of ${known}, got "${target.group === "" ? "" : `${target.group}/`}${target.kind}"`);
  }
  refuseUnknown(reader);
  return target;
}
