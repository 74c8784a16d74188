import { userError, type SerinError } from "../../../base/index.ts";

/** What is wrong and what to do, in one line: a status has one message only. */
export function targetError(code: string, problem: string, advice: string): SerinError {
  return userError(code, `${problem}; ${advice}`);
}
