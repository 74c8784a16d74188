import { maxApprovals, type Approval, type OrderedBy } from "../rollout-orders.ts";
import { authorAnnotation, ownUidAnnotation } from "../rollout-status.ts";
import { approvalsOf, holdsNextRun, isRestored, type Rollout } from "./rollout.ts";

/** What `pause`, `resume` and `rollback` set in the spec. The engine does the rest. */
const orderSpecs = {
  pause: { paused: true },
  resume: { paused: false },
  rollback: { abort: true, paused: false },
} as const;

/**
 * A merge patch that approves the steps. A merge patch replaces the whole list, so this one is only valid for this
 * version of the object.
 */
export function approvalPatch(rollout: Rollout, steps: readonly string[], ordered: OrderedBy): unknown {
  const added = steps.map((step): Approval => ({ step, ...ordered }));
  return {
    metadata: { resourceVersion: rollout.metadata.resourceVersion },
    spec: { approvals: [...approvalsOf(rollout), ...added].slice(-maxApprovals) },
  };
}

/**
 * A merge patch that pauses, resumes or rolls back, with the person's name. It contains the uid, so the server refuses
 * it for another object of the same name. If a Canary's last run was undone, resuming takes back the abort, so that the
 * next change begins a run. If the object is a copy of another one, resuming makes the person its author, because the
 * account that restored the copy may have other rights.
 */
export function orderPatch(rollout: Rollout, order: keyof typeof orderSpecs, orderedBy: OrderedBy): unknown {
  const released = order === "resume" && holdsNextRun(rollout) ? { abort: false } : {};
  const { uid } = rollout.metadata;
  const metadata = {
    ...(uid === undefined ? {} : { uid }),
    ...(order === "resume" && isRestored(rollout) ? { annotations: { [authorAnnotation]: "" } } : {}),
  };
  return {
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    spec: { ...orderSpecs[order], ...released, orderedBy },
  };
}

/**
 * A merge patch that skips to the last step. It is only valid for this version of the object, because the person has
 * seen no other.
 */
export function fullPromotionPatch({ metadata: { resourceVersion } }: Rollout, ordered: OrderedBy): unknown {
  return { metadata: { resourceVersion }, spec: { fullPromotion: ordered, paused: false } };
}

/** The object to create for a retry. It has no earlier orders, and the person who retries becomes its author. */
export function retriedRollout<Value extends Rollout>(rollout: Value): Value {
  const { name, namespace, labels, annotations } = rollout.metadata;
  const {
    abort: _abort,
    paused: _paused,
    orderedBy: _ordered,
    approvals: _approvals,
    fullPromotion: _full,
    ...spec
  } = rollout.spec;
  const { [authorAnnotation]: _author, [ownUidAnnotation]: _uid, ...others } = annotations ?? {};
  const metadata = {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(Object.keys(others).length === 0 ? {} : { annotations: others }),
  };
  return { apiVersion: rollout.apiVersion, kind: rollout.kind, metadata, spec } as unknown as Value;
}
