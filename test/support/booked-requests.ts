// Writes how many requests a guide's load made to the reports of a run on an existing cluster. SERIN_TEST_REPORTS names
// the directory of the reports.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadReport } from "../../samples/load-generator/load-plan.ts";

/** Reports the requests of a load. Call it once for each load, when the load has ended. */
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
