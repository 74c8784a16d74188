import { rfc3339Seconds } from "../../base/index.ts";

/**
 * The time that restarts a workload, in the form that Argo's own tool writes: the next full second. Argo's controller
 * writes the object again without milliseconds, which would look like a change by somebody else. An earlier second
 * would leave out pods that were made in it.
 */
export function restartTime(atMs: number): string {
  return rfc3339Seconds(Math.ceil(atMs / 1000) * 1000);
}
