import { Lazy } from "../components/index.ts";
import type { JSX } from "preact";
import type { RolloutCheck, RolloutHead } from "../../../api/dashboard/index.ts";

/** Charts of both versions over time, with the bound of a check of the same measure. */
export function RolloutSeries({
  head,
  checks,
}: {
  readonly head: RolloutHead;
  readonly checks: Readonly<Record<string, RolloutCheck>>;
}): JSX.Element {
  // Skip the check of the request share, because its share is not a share of errors.
  const bound = (unit: "share" | "ms"): number | undefined =>
    Object.values(checks).find(
      ({ type, comparison }) => type !== "request-share" && comparison?.unit === unit && comparison.bound !== undefined,
    )?.comparison?.bound;
  return (
    <section class="card" aria-label="Both versions over time">
      <div class="card-head">
        <h2>Both versions</h2>
        <span class="muted small">
          canary {head.canaryBackend}, stable {head.stableBackend}
        </span>
      </div>
      <Lazy
        load={async () => (await import("./series-charts.tsx")).SeriesCharts}
        height={420}
        given={{ head, errorBound: bound("share"), latencyBound: bound("ms") }}
      />
    </section>
  );
}
