import {
  evaluateCondition,
  type CheckSpec,
  type ConditionBindings,
  type ConditionBudget,
} from "../../../api/serin/index.ts";
import type { Judgement } from "./looks.ts";

/** What a check waits for if more samples with the same rates would not make its conditions decide. */
export const undecided = "neither condition is true";

type Bindings = Pick<ConditionBindings, "result" | "canary" | "stable"> & { readonly baseline?: unknown };

/**
 * Applies the spec's conditions after the built-in judgement has passed, which includes the minimum of samples. Any
 * other verdict stays. A true `failWhen` fails the check. A check with `passWhen` passes only if it is true.
 */
export function applyConditions(
  spec: CheckSpec,
  judged: Judgement,
  bindings: () => Bindings,
  budget?: ConditionBudget,
): Judgement {
  if ((spec.failWhen === undefined && spec.passWhen === undefined) || judged.verdict !== "pass") return judged;
  const values = bindings();
  const { evidence, ...rest } = judgeConditions(spec, values, budget);
  if (rest.verdict === "pass") return judged;
  const waits = rest.verdict === "wait" ? { waitsFor: waitOf(spec, values, budget) } : {};
  return { ...judged, ...rest, ...waits, evidence: `${evidence}; ${judged.evidence}` };
}

const sides = [["canary"], ["stable"], ["canary", "stable"]] as const;
const manyTimes = 1e9;

/**
 * What a check waits for while neither of its conditions is true. If more samples with the same rates would decide it,
 * the text contains the number of samples, so that each sample is progress. Other conditions, such as one on a rate,
 * may never decide.
 */
function waitOf(spec: CheckSpec, values: Bindings, budget: ConditionBudget | undefined): string {
  const needed = sides.find((names) => {
    const more = Object.fromEntries(names.map((name) => [name, withManyMore(values[name] as Counts)]));
    return judgeConditions(spec, { ...values, ...more }, budget).verdict !== "wait";
  });
  if (needed === undefined) return undecided;
  const counts = needed.map((name) => `${name}.total ${(values[name] as Counts).total}`);
  return `${undecided} at ${counts.join(" and ")}`;
}

interface Counts {
  readonly total: number;
  readonly errors?: number;
}

function withManyMore({ total, errors, ...rest }: Counts): Counts {
  return { ...rest, total: total * manyTimes, ...(errors === undefined ? {} : { errors: errors * manyTimes }) };
}

/**
 * The result of the conditions alone. If both conditions are set and neither is true, the check waits. If only one is
 * set, it decides alone.
 */
export function judgeConditions(
  { failWhen, passWhen }: CheckSpec,
  { result, canary, stable, baseline }: Bindings,
  budget?: ConditionBudget,
): Judgement {
  const values = { result, canary, stable, baseline };
  if (failWhen !== undefined) {
    const fails = evaluateCondition(failWhen, values, budget);
    if (typeof fails !== "boolean") return { verdict: "error", evidence: `failWhen: ${failWhen}: ${fails.problem}` };
    if (fails) return { verdict: "fail", evidence: `failWhen is true: ${failWhen}` };
  }
  if (passWhen === undefined) return { verdict: "pass", evidence: `failWhen is false: ${failWhen ?? ""}` };
  const passes = evaluateCondition(passWhen, values, budget);
  if (typeof passes !== "boolean") return { verdict: "error", evidence: `passWhen: ${passWhen}: ${passes.problem}` };
  if (passes) return { verdict: "pass", evidence: `passWhen is true: ${passWhen}` };
  return failWhen === undefined
    ? { verdict: "fail", evidence: `passWhen is false: ${passWhen}` }
    : { verdict: "wait", evidence: undecided, waitsFor: undecided };
}
