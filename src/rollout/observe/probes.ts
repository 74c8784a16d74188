import { messageOf } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CheckObservation, OutcomeCounts } from "../decide/index.ts";
import { probePods } from "../plan/index.ts";

/** What a probe client prints, one JSON object a line: counters since its start, by the revision that it tried. */
interface ProbeReport {
  readonly revision: string;
  readonly pairs: Readonly<Record<string, { readonly ok: number; readonly failed: number; readonly lastError: string }>>;
}

/**
 * The probe matrix as counters of each pair, `old -> new`. It is read from the probes' logs, which the node keeps, so that
 * a mesh that lets nothing through cannot hide it.
 */
export async function observeProbes(client: KubeClient, revisions: readonly string[]): Promise<CheckObservation> {
  const sources: Record<string, OutcomeCounts> = {};
  let lastError = "";
  for (const pod of probePods(revisions).filter(({ role }) => role === "client")) {
    const { name, namespace = "" } = pod.reference;
    let report: ProbeReport | undefined;
    try {
      const { text, status } = await client.raw("GET", `/api/v1/namespaces/${namespace}/pods/${name}/log?tailLines=1`, { accept: "*/*" });
      if (status !== 200) return { type: "unavailable", detail: `the log of probe ${name}: status ${status}` };
      report = parseReport(text);
    } catch (error) {
      return { type: "unavailable", detail: `the log of probe ${name}: ${messageOf(error)}` };
    }
    if (report === undefined) return { type: "unavailable", detail: `probe ${name} has not reported yet` };
    for (const revision of revisions) {
      const pair = report.pairs[revision] ?? { ok: 0, failed: 0, lastError: "" };
      if (pair.lastError !== "") lastError = `${pod.revision} -> ${revision}: ${pair.lastError}`;
      sources[`${pod.revision} -> ${revision}`] = { canaryTotal: pair.ok + pair.failed, canaryErrors: pair.failed, stableTotal: 0, stableErrors: 0 };
    }
  }
  return { type: "counters", sources, reported: true, ...(lastError === "" ? {} : { lastError }) };
}

function parseReport(text: string): ProbeReport | undefined {
  const line = text.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as ProbeReport;
  } catch {
    return undefined;
  }
}
