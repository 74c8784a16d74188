import { userError } from "../errors.ts";

/** The error of a text that is no template. */
export function malformed(what: string): Error {
  return userError("template-failed", what);
}

/** The error of a template that cannot be rendered. */
export function failed(what: string, cause?: unknown): Error {
  return userError("template-failed", what, cause === undefined ? {} : { cause });
}
