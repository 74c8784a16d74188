import type { JSX } from "preact";
import { SeriesChart } from "../charts/index.ts";

export function MeshCharts(): JSX.Element {
  return (
    <div class="chart-grid">
      <SeriesChart
        measure="requestRate"
        title="Requests of the whole mesh"
        subjects={[{ label: "all", tone: "series-1" }]}
        height={150}
      />
      <SeriesChart
        measure="errorShare"
        title="Errors of the whole mesh"
        subjects={[{ label: "all", tone: "series-1" }]}
        height={150}
      />
    </div>
  );
}
