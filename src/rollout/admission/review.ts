import { jsonEqualWithoutNulls } from "../../base/index.ts";
import { allow, refuse, type AdmissionAnswer, type AdmissionReview } from "../../api/admission-review/index.ts";
import { formatIssues, type FieldIssue, type KindDefinition } from "../../api/index.ts";
import {
  isRestingPhase,
  approvalProblem,
  canaryKind,
  freezeKind,
  rolloutKinds,
  type Approval,
  type Canary,
} from "../../api/serin/index.ts";

/** The engine's own user. It may write approvals that other users gave, when it writes an object back. */
export const trustedUser = "system:serviceaccount:serin-system:serin-rollout";

/**
 * Refuses an object that its parser cannot accept, and names every fault with its field. Also refuses an order in
 * another user's name. If the object is a copy of another one, the webhook of authors runs first and removes such
 * orders. A write that does not change the spec passes, such as a change of labels, or the removal of the finalizer
 * from an object that is older than this parser.
 */
export async function reviewRollout(review: AdmissionReview): Promise<AdmissionAnswer> {
  const { request } = review;
  const kind = rolloutKinds.find(
    (candidate) => candidate.kind === request?.kind?.kind && candidate.group === request.kind.group,
  );
  if (request === undefined || kind?.parse === undefined || request.operation === "DELETE" || keepsSpec(request))
    return allow(review);
  const parsed = kind.parse(request.object);
  const hidden =
    parsed.value === undefined || kind === freezeKind
      ? { errors: [], warnings: [] }
      : await (await import("./hidden-faults.ts")).hiddenFaults(parsed.value);
  const errors =
    parsed.value === undefined
      ? parsed.errors
      : [...approvalIssues(request), ...strayIssues(kind, request), ...hidden.errors];
  const name = request.name === undefined || request.name === "" ? "" : ` "${request.name}"`;
  const warnings = [...parsed.warnings, ...hidden.warnings].map((issue) => formatIssues([issue]));
  return errors.length === 0
    ? allow(review, { warnings })
    : refuse(review, `${kind.kind}${name} is not valid:\n${formatIssues(errors)}`, warnings);
}

function keepsSpec({ operation, object, oldObject }: NonNullable<AdmissionReview["request"]>): boolean {
  if (operation !== "UPDATE" || oldObject === undefined || oldObject === null) return false;
  const specOf = (value: unknown): unknown => (value as { readonly spec?: unknown } | null | undefined)?.spec;
  return jsonEqualWithoutNulls(specOf(object), specOf(oldObject));
}

interface Approved {
  readonly spec?: {
    readonly orderedBy?: { readonly by?: string; readonly at?: string };
    readonly approvals?: readonly Approval[];
    readonly fullPromotion?: { readonly by?: string; readonly at?: string };
  };
}

/** The name in an approval says who has approved, so a new entry must name the user who writes it. */
function approvalIssues({ object, oldObject, userInfo }: NonNullable<AdmissionReview["request"]>): FieldIssue[] {
  const user = userInfo?.username ?? "";
  if (user === "" || user === trustedUser) return [];
  const [now, before] = [(object as Approved | undefined)?.spec, (oldObject as Approved | undefined)?.spec];
  const known = before?.approvals?.map(textOf) ?? [];
  const kept = keptCount(known, now?.approvals?.map(textOf) ?? []);
  const issues: FieldIssue[] = [];
  now?.approvals?.forEach((approval, index) => {
    if (index < kept) return;
    const place = `spec.approvals[${index}]`;
    const isKnown = known.includes(textOf(approval));
    if (isKnown && approval.by === user) return;
    if (isKnown) issues.push({ path: place, message: movedMessage });
    else if (approval.by !== user) issues.push(issue(`${place}.by`, user, approval.by));
    const problem = approvalProblem((oldObject ?? {}) as Canary, approval.step);
    if (problem !== undefined) issues.push({ path: `${place}.step`, message: problem });
  });
  for (const field of ["fullPromotion", "orderedBy"] as const) {
    const [order, known] = [now?.[field], before?.[field]];
    if (order?.by !== undefined && order.by !== user && (order.by !== known?.by || order.at !== known.at))
      issues.push(issue(`spec.${field}.by`, user, order.by));
  }
  return issues;
}

interface Begun {
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly spec?: {
    readonly target?: { readonly deployment?: { readonly name?: string; readonly service?: string } };
    readonly from?: { readonly revision?: string };
    readonly to?: { readonly revision?: string };
  };
  readonly status?: {
    readonly phase?: string;
    readonly startedAt?: string;
    readonly completedSteps?: readonly unknown[];
  };
}

/**
 * The object that a running rollout moves must not be replaced in the spec. Otherwise the engine would plan for the new
 * object and leave the old one half moved.
 */
function strayIssues(
  kind: KindDefinition,
  { object, oldObject }: NonNullable<AdmissionReview["request"]>,
): FieldIssue[] {
  const { metadata, spec: before, status } = (oldObject ?? {}) as Begun;
  const now = ((object ?? {}) as Begun).spec;
  const { phase = "", startedAt, completedSteps = [] } = status ?? {};
  // The rollout's first step may have written something already.
  if (startedAt === undefined && completedSteps.length === 0) return [];
  if (isRestingPhase(phase)) return heldTargetIssues(before, now);
  const { name = "", namespace = "" } = metadata ?? {};
  const [noun, undo] =
    kind === canaryKind
      ? ["Canary", `canary abort ${name} -n ${namespace}`]
      : ["MeshUpgrade", `upgrade rollback ${name}`];
  const because = `because the ${noun} is under way (${phase}). Undo it first: serin ${undo}`;
  if (kind === canaryKind)
    return jsonEqualWithoutNulls(now?.target, before?.target)
      ? []
      : [{ path: "spec.target", message: `must not change, ${because}` }];
  return (["from", "to"] as const).flatMap((end) => {
    const [was = "", is = ""] = [before?.[end]?.revision, now?.[end]?.revision];
    return was === is ? [] : [{ path: `spec.${end}.revision`, message: `must stay "${was}", got "${is}", ${because}` }];
  });
}

/** A Canary holds its Deployment between its runs too, and only the deletion of the Canary releases the Deployment. */
function heldTargetIssues(before: Begun["spec"], now: Begun["spec"]): FieldIssue[] {
  const held = before?.target?.deployment;
  const next = now?.target?.deployment;
  if (held === undefined || (held.name === next?.name && held.service === next?.service)) return [];
  const message = `must stay Deployment "${held.name ?? ""}" with Service "${held.service ?? ""}", which the Canary holds. Delete the Canary, which releases them, and create another`;
  return [{ path: "spec.target.deployment", message }];
}

function issue(path: string, user: string, written: string): FieldIssue {
  return { path, message: `must name the user who writes it (${user}), got "${written}"` };
}

const movedMessage =
  "must keep its place, with all approvals that came after it: remove only the oldest ones, and add new ones at the end";

/**
 * How many approvals of the known list the new list still has. The run of an approval follows from its position in the
 * list, so only the oldest may be removed.
 */
function keptCount(known: readonly string[], now: readonly string[]): number {
  const removed = known.findIndex((_text, start) => known.slice(start).every((text, index) => text === now[index]));
  return removed === -1 ? 0 : known.length - removed;
}

function textOf({ step, by, why, at }: Approval): string {
  return JSON.stringify([step, by, why, at]);
}
