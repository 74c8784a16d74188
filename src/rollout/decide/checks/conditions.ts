import { evaluateCondition, type CheckSpec, type ConditionBindings } from "../../../api/serin/index.ts";
import type { Judgement } from "./looks.ts";

/** The wait of a check whose conditions do not decide. More samples may not change that. */
export const undecided = "neither condition is true";

type Bindings = Pick<ConditionBindings, "result" | "canary" | "stable"> & { readonly baseline?: unknown };

/**
 * Combines a built-in verdict with the spec's conditions on the measurements. A true `failWhen` fails the check once
 * the minimum sample has been seen. A check with `passWhen` passes only if it is true.
 */
export function applyConditions(spec: CheckSpec, judged: Judgement, bindings: () => Bindings): Judgement {
  if ((spec.failWhen === undefined && spec.passWhen === undefined) || judged.verdict !== "pass") return judged;
  const { evidence, ...rest } = judgeConditions(spec, bindings());
  return rest.verdict === "pass" ? judged : { ...judged, ...rest, evidence: `${evidence}; ${judged.evidence}` };
}

/**
 * The result of the conditions alone. If both are set and neither is true, the check waits. A single condition decides
 * alone.
 */
export function judgeConditions(
  { failWhen, passWhen }: CheckSpec,
  { result, canary, stable, baseline }: Bindings,
): Judgement {
  const values = { result, canary, stable, baseline };
  if (failWhen !== undefined) {
    const fails = evaluateCondition(failWhen, values);
    if (typeof fails !== "boolean") return { verdict: "error", evidence: `failWhen: ${failWhen}: ${fails.problem}` };
    if (fails) return { verdict: "fail", evidence: `failWhen is true: ${failWhen}` };
  }
  if (passWhen === undefined) return { verdict: "pass", evidence: `failWhen is false: ${failWhen ?? ""}` };
  const passes = evaluateCondition(passWhen, values);
  if (typeof passes !== "boolean") return { verdict: "error", evidence: `passWhen: ${passWhen}: ${passes.problem}` };
  if (passes) return { verdict: "pass", evidence: `passWhen is true: ${passWhen}` };
  return failWhen === undefined
    ? { verdict: "fail", evidence: `passWhen is false: ${passWhen}` }
    : { verdict: "wait", evidence: undecided, waitsFor: undecided };
}
