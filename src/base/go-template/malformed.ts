import { userError } from "../errors.ts";

export function malformed(fault: string): Error {
  return userError("template-failed", fault);
}

export function failed(fault: string, cause?: unknown): Error {
  return userError("template-failed", fault, cause === undefined ? {} : { cause });
}
