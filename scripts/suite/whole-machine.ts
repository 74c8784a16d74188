// End-to-end files that measure times or shares. No other lab may run beside them.

const files: ReadonlySet<string> = new Set([
  // The proofs under load: a request that takes longer than 4 s has failed.
  "test/e2e/upgrade-proof.test.ts",
  "test/e2e/mesh-upgrade.test.ts",
  "test/e2e/demo.test.ts",
  // What a load measured and what the page shows may differ by 2 %, and news must be on the page within 2 s.
  "test/e2e/dashboard.test.ts",
  // A search among thousands and a click must lead on within 3 s.
  "test/e2e/dashboard-faults.test.ts",
]);

export function needsWholeMachine(file: string): boolean {
  return files.has(file);
}

/** Exported for the test that all of these files exist. */
export const filesOfWholeMachine: readonly string[] = [...files];
