// On an existing cluster, adds the number of requests of a guide's load to the reports of the run. SERIN_TEST_REPORTS
// names their directory.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadReport } from "../../samples/load-generator/load-plan.ts";

/** Reports the requests of a load. Call it once for each load, at its end. */
export function bookRequests(target: string, requests: number, causes: readonly string[]): void {
  const directory = process.env["SERIN_TEST_REPORTS"];
  if (directory === undefined || directory === "") return;
  const at = new Date().toISOString();
  const report: LoadReport = {
    at,
    requests: { [target]: { requests, failed: causes.length, latencies: [], answers: {} } },
    connections: {},
    failures: causes.map((cause) => ({ at, target, cause, group: "guide" })),
  };
  appendFileSync(join(directory, `guide-${process.pid}.jsonl`), `${JSON.stringify(report)}\n`);
}
