import type { Condition } from "../../../api/index.ts";
import { jsonEqual, messageOf } from "../../../base/index.ts";

/** The objects that remain in a namespace after an attempt to delete its content. */
export interface NamespaceContent {
  /** The number of objects by `plural.group`. */
  readonly left: Map<string, number>;
  /** The number of objects by finalizer. */
  readonly finalizers: Map<string, number>;
  readonly failures: unknown[];
}

/**
 * Returns the conditions of a namespace that is being deleted, or undefined if they would not change or the namespace
 * is empty. Keeps the conditions of other writers.
 */
export function conditionsOf(
  content: NamespaceContent,
  before: readonly Condition[],
  now: string,
): Condition[] | undefined {
  if (content.left.size + content.failures.length === 0) return undefined;
  const found = factsOf(content).map(({ type, problem, fine }) => {
    const { reason, message } = problem ?? fine;
    const status = problem === undefined ? ("False" as const) : ("True" as const);
    const known = before.find((condition) => condition.type === type);
    return {
      type,
      status,
      reason,
      message,
      lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
    };
  });
  const others = before.filter(({ type }) => !found.some((condition) => condition.type === type));
  const conditions = [...others, ...found];
  return jsonEqual(conditions, before) ? undefined : conditions;
}

interface Fact {
  readonly type: string;
  readonly problem: Pick<Condition, "reason" | "message"> | undefined;
  readonly fine: Pick<Condition, "reason" | "message">;
}

function factsOf({ left, finalizers, failures }: NamespaceContent): Fact[] {
  const counts = (amounts: ReadonlyMap<string, number>, verb: string): string =>
    [...amounts]
      .map(([name, count]) => `${name} ${verb} ${count} resource instances`)
      .sort()
      .join(", ");
  return [
    // These two conditions report no failure: the controller stops before this point if discovery fails.
    {
      type: "NamespaceDeletionDiscoveryFailure",
      problem: undefined,
      fine: { reason: "ResourcesDiscovered", message: "All resources successfully discovered" },
    },
    {
      type: "NamespaceDeletionGroupVersionParsingFailure",
      problem: undefined,
      fine: { reason: "ParsedGroupVersions", message: "All legacy kube types successfully parsed" },
    },
    {
      type: "NamespaceDeletionContentFailure",
      problem:
        failures.length === 0
          ? undefined
          : {
              reason: "ContentDeletionFailed",
              message: `Failed to delete all resource types, ${failures.length} remaining: ${failures.map(messageOf).sort().join(", ")}`,
            },
      fine: { reason: "ContentDeleted", message: "All content successfully deleted, may be waiting on finalization" },
    },
    {
      type: "NamespaceContentRemaining",
      problem:
        left.size === 0
          ? undefined
          : { reason: "SomeResourcesRemain", message: `Some resources are remaining: ${counts(left, "has")}` },
      fine: { reason: "ContentRemoved", message: "All content successfully removed" },
    },
    {
      type: "NamespaceFinalizersRemaining",
      problem:
        finalizers.size === 0
          ? undefined
          : {
              reason: "SomeFinalizersRemain",
              message: `Some content in the namespace has finalizers remaining: ${counts(finalizers, "in")}`,
            },
      fine: { reason: "ContentHasNoFinalizers", message: "All content-preserving finalizers finished" },
    },
  ];
}
