import { userError, type ErrorCode, type SerinError } from "../../../base/index.ts";

const targetCodes = ["target-missing", "target-unclear", "target-taken"] as const satisfies readonly ErrorCode[];
type TargetCode = (typeof targetCodes)[number];

/** Whether the code is one of {@link targetError}: the rollout cannot be planned because of its target. */
export function isTargetCode(code: ErrorCode): code is TargetCode {
  return targetCodes.some((known) => known === code);
}

/** Joins the problem and the advice in one line, because a status has only one message. */
export function targetError(code: TargetCode, problem: string, advice: string): SerinError {
  return userError(code, `${problem}; ${advice}`);
}
