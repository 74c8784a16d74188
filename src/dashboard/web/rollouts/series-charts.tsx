import type { JSX } from "preact";
import type { RolloutHead } from "../../../api/dashboard/index.ts";
import { SeriesChart, type ChartSubject } from "../charts/index.ts";

const windowMs = 30 * 60_000;

export function SeriesCharts({
  head,
  errorBound,
  latencyBound,
}: {
  readonly head: RolloutHead;
  readonly errorBound: number | undefined;
  readonly latencyBound: number | undefined;
}): JSX.Element {
  const { namespace } = head.row;
  const subjects: ChartSubject[] = [
    { label: "canary", tone: "canary", namespace, backend: head.canaryBackend },
    { label: "stable", tone: "stable", namespace, backend: head.stableBackend },
  ];
  return (
    <div class="chart-grid">
      <SeriesChart measure="errorShare" subjects={subjects} windowMs={windowMs} bound={errorBound} />
      <SeriesChart measure="p99Ms" subjects={subjects} windowMs={windowMs} bound={latencyBound} />
      <SeriesChart measure="requestRate" subjects={subjects} windowMs={windowMs} />
    </div>
  );
}
