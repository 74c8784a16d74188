import type { Rollout } from "./rollout.ts";

/** The refusal of an order whose rollout was replaced by another one of the same name. */
export const remadeProblem = "it was deleted, and somebody has created another one of its name meanwhile";

/**
 * Why an order must not be given, because the rollout has changed since the person looked at it (`seen`). Undefined if
 * it may be given. A person who has looked at one version must not approve the next version, whose run may begin at the
 * same moment. An order for a step that waits must not overrule a failure of that step that the person has not seen. A
 * full promotion also ends a pause and skips the checks, so it must not overrule an order that the person has not seen.
 */
export function changeAgainst(
  order: "approve" | "complete" | "promote",
  seen: Rollout,
  { metadata, spec, status }: Rollout,
): string | undefined {
  // The first run has no number until it begins, so count a missing number as 1.
  if (metadata.uid !== seen.metadata.uid) return remadeProblem;
  if (Math.max(1, status?.run ?? 1) !== Math.max(1, seen.status?.run ?? 1)) return "another run has begun meanwhile";
  if (status?.phase === "Stuck" && seen.status?.phase !== "Stuck")
    return `it has become Stuck meanwhile: ${status.message}`;
  if (order !== "promote") return undefined;
  const [before, now] = [standingOrders(seen.spec), standingOrders(spec)];
  if (now.abort !== before.abort)
    return `somebody else has ${now.abort ? "ordered its rollback" : "taken its rollback back"} meanwhile`;
  if (now.paused !== before.paused) return `somebody else has ${now.paused ? "paused" : "resumed"} it meanwhile`;
  return undefined;
}

/** The fields may be absent in an object that no webhook has completed. */
function standingOrders({ abort, paused }: { readonly abort?: boolean; readonly paused?: boolean }): {
  readonly abort: boolean;
  readonly paused: boolean;
} {
  return { abort: abort === true, paused: paused === true };
}
