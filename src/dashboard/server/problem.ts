import type { Problem } from "../../api/dashboard/index.ts";
import { toSerinError, userError, type SerinError } from "../../base/index.ts";

/** The HTTP status of each code of a {@link Problem}. */
const statusByCode: Readonly<Record<string, number>> = {
  invalid: 400,
  "logged-out": 401,
  forbidden: 403,
  "not-found": 404,
  conflict: 409,
  "too-long": 413,
  internal: 500,
  unavailable: 503,
};

/** The page's codes for reasons of the API server with other names. */
const codeByReason: Readonly<Record<string, string>> = {
  unauthorized: "logged-out",
  "already-exists": "conflict",
  gone: "not-found",
};

const codes = { user: "invalid", transient: "unavailable", internal: "internal" } as const;

/** A refusal of the page's request: `invalid`, `logged-out`, `forbidden`, `not-found`, `conflict`, `unavailable`. */
export function refusal(
  code: "invalid" | "logged-out" | "forbidden" | "not-found" | "conflict" | "too-long" | "unavailable",
  message: string,
  hint?: string,
): SerinError {
  return userError(code, message, hint === undefined ? {} : { hint });
}

/** Converts any thrown value into a problem for the page. */
export function problemOf(error: unknown): Problem {
  const { kind, code, message, hint } = toSerinError(error);
  const known = codeByReason[code] ?? code;
  return {
    code: Object.hasOwn(statusByCode, known) ? known : codes[kind],
    message,
    ...(hint === undefined ? {} : { hint }),
  };
}

export function statusOf({ code }: Problem): number {
  return statusByCode[code] ?? 500;
}
