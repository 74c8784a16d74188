import type { Problem, ProblemCode } from "../api/dashboard/index.ts";
import { toSerinError, userError, type ErrorCode, type SerinError } from "../base/index.ts";

const statusByCode: Readonly<Record<ProblemCode, number>> = {
  invalid: 400,
  "logged-out": 401,
  forbidden: 403,
  "not-found": 404,
  conflict: 409,
  "too-long": 413,
  internal: 500,
  unavailable: 503,
};

/** The page's code for each error code of the API server that the page calls otherwise. */
const codeByReason: Readonly<Partial<Record<ErrorCode, ProblemCode>>> = {
  unauthorized: "logged-out",
  "already-exists": "conflict",
  gone: "not-found",
};

const codes = { user: "invalid", transient: "unavailable", internal: "internal" } as const;

/** The error of a request that the server refuses. */
export function refusal(code: Exclude<ProblemCode, "internal">, message: string, hint?: string): SerinError {
  return userError(code, message, hint === undefined ? {} : { hint });
}

/** Converts anything that was thrown into a problem for the page. */
export function problemOf(error: unknown): Problem {
  const { kind, code, message, hint } = toSerinError(error);
  const known = codeByReason[code] ?? code;
  return {
    code: isProblemCode(known) ? known : codes[kind],
    message,
    ...(hint === undefined ? {} : { hint }),
  };
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(statusByCode, code);
}

export function statusOf({ code }: Problem): number {
  return statusByCode[code];
}
