import { rfc3339Seconds } from "../../base/index.ts";

/**
 * The time that restarts a workload, in the form that Argo's own tool writes: the next full second. Argo's controller
 * would rewrite a time with milliseconds, which would look like a change by somebody else. If the time were rounded
 * down, pods that were made in that second would not be replaced.
 */
export function restartTime(atMs: number): string {
  return rfc3339Seconds(Math.ceil(atMs / 1000) * 1000);
}
