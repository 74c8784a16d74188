import { transientError, type SerinError } from "../../../base/index.ts";

export function answered(where: string, reason: string, message = ""): SerinError {
  const text = message === "" ? "" : `: ${message}`;
  return transientError("http-status", `${where} answered with HTTP status ${reason}${text}`, { reason });
}

export function unreachable(message: string): SerinError {
  return transientError("pod-unreachable", message);
}
