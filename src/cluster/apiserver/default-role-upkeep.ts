// Updates default roles and bindings that an older server of the same cluster has stored with fewer rules or with other
// subjects.
import { jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { rulesNotCovered, rulesOf } from "../auth/index.ts";

interface Subject {
  readonly kind: string;
  readonly name: string;
}

const autoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

/**
 * The subject that older releases gave the binding `system:node`, so that each node could read the Secrets of all
 * namespaces. The upkeep removes the subject, because the Node authorizer has replaced it.
 */
const withdrawn = { binding: "system:node", subject: { kind: "Group", name: "system:nodes" } } as const;

/**
 * The stored role or binding with the missing rules or subjects of the default one, and without the withdrawn subject.
 * kube-apiserver, too, adds what is missing when it starts. Returns undefined if nothing changes, or if the user has
 * switched off the update by the annotation.
 */
export function updatedDefault(stored: UntypedObject, current: UntypedObject): UntypedObject | undefined {
  if (stored.metadata.annotations?.[autoUpdate] !== "true") return undefined;
  if (stored.kind === "ClusterRole") {
    const missing = rulesNotCovered(rulesOf(stored), rulesOf(current));
    return missing.length === 0 ? undefined : { ...stored, rules: [...rulesOf(stored), ...missing] };
  }
  const before = subjectsOf(stored);
  const kept = before.filter((subject) => !isWithdrawn(stored, subject));
  const missing = subjectsOf(current).filter((subject) => !kept.some((known) => jsonEqual(known, subject)));
  return kept.length === before.length && missing.length === 0
    ? undefined
    : { ...stored, subjects: [...kept, ...missing] };
}

function subjectsOf(binding: UntypedObject): readonly Subject[] {
  return (binding["subjects"] as Subject[] | null | undefined) ?? [];
}

function isWithdrawn(binding: UntypedObject, { kind, name }: Subject): boolean {
  const { subject } = withdrawn;
  return binding.metadata.name === withdrawn.binding && kind === subject.kind && name === subject.name;
}
