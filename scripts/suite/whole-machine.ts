// End-to-end files that measure times or shares, and what may run beside them.
import type { Group } from "./groups.ts";

const files: ReadonlySet<string> = new Set([
  // The proofs under load. A request that takes longer than 4 s counts as failed.
  "test/e2e/upgrade-proof.test.ts",
  "test/e2e/demo.test.ts",
  // The page's figures may differ from the load's by 2 %, and the page must show a change within 2 s.
  "test/e2e/dashboard.test.ts",
  // A search among thousands of items, and a click, must take less than 3 s.
  "test/e2e/dashboard-faults.test.ts",
]);

/**
 * Files without a time limit that a busy machine could exceed. They run at the lowest priority beside all others, in
 * this order, because the files above leave half of the processor time unused. Files that write much to the disk come
 * last, when the files above have ended.
 */
const patientFiles: readonly string[] = [
  "test/e2e/envoy.test.ts",
  "test/e2e/upgrade-plan.test.ts",
  "test/e2e/lifecycle.test.ts",
  "test/e2e/what-if.test.ts",
  "test/e2e/probe-matrix.test.ts",
  "test/e2e/image.test.ts",
];

/**
 * Files that wait most of the time, for an autoscaler or for the engine. They begin early: at the end of a run, nothing
 * else would use the processor while they wait.
 */
const idleFiles: readonly string[] = ["test/e2e/cluster.test.ts", "test/e2e/rollout-rights.test.ts"];

/** These groups may run at the lowest priority while the files above leave processor time. */
const patientGroups = ["unit", "netns"] as const;

/**
 * Returns the groups that run beside the end-to-end files. Returns none with a single lane, or if none of the files
 * leaves processor time.
 */
export function groupsBeside(files: readonly string[], lanes: number): readonly Group[] {
  return lanes > 1 && files.some(needsWholeMachine) ? patientGroups : [];
}

export function isPatient(file: string): boolean {
  return patientFiles.includes(file);
}

/** Returns the position of a patient file in the order above. */
export function turnOfPatient(file: string): number {
  return patientFiles.indexOf(file);
}

export function isIdle(file: string): boolean {
  return idleFiles.includes(file);
}

export function needsWholeMachine(file: string): boolean {
  return files.has(file);
}

/** Exported for a test that checks that all these files exist. */
export const filesOfWholeMachine: readonly string[] = [...files];
export const filesBeside: readonly string[] = [...patientFiles, ...idleFiles];
