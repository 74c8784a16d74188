import { userError } from "../errors.ts";

/** The error for a text that is not a template. */
export function malformed(fault: string): Error {
  return userError("template-failed", fault);
}

/** The error of a template that cannot be rendered. */
export function failed(fault: string, cause?: unknown): Error {
  return userError("template-failed", fault, cause === undefined ? {} : { cause });
}
