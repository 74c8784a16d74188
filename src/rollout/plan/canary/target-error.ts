import { userError, type ErrorCode, type SerinError } from "../../../base/index.ts";

/** Joins the problem and the advice in one line, because a status has only one message. */
export function targetError(code: ErrorCode, problem: string, advice: string): SerinError {
  return userError(code, `${problem}; ${advice}`);
}
