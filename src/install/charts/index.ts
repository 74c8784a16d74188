// Renders Istio's Helm charts, a file for each chart.
import { banzaiOperatorChart } from "./banzai-chart.ts";
import { baseChart } from "./base-chart.ts";
import type { ChartOptions } from "./chart-settings.ts";
import type { Chart } from "./chart.ts";
import { cniChart } from "./cni-chart.ts";
import { gatewayChart } from "./gateway-chart.ts";
import { istiodChart } from "./istiod-chart.ts";
import { ztunnelChart } from "./ztunnel-chart.ts";

export type { Chart } from "./chart.ts";
export type { ValuesSchema } from "./values-schema.ts";
export type { ChartOptions } from "./chart-settings.ts";

const makers = new Map<string, (options: ChartOptions) => Chart>([
  ["base", baseChart],
  ["istiod", istiodChart],
  ["cni", cniChart],
  ["ztunnel", ztunnelChart],
  ["gateway", gatewayChart],
  ["istio-operator", banzaiOperatorChart],
]);

export const chartNames: readonly string[] = [...makers.keys()];

/** Renders all charts of a release from the same code as `install`. Pure: the same options give the same files. */
export function renderCharts(options: ChartOptions): Chart[] {
  return [...makers.values()].map((make) => make(options));
}

/** Renders one chart. Returns undefined if there is no chart of this name. */
export function renderChartNamed(name: string, options: ChartOptions): Chart | undefined {
  return makers.get(name)?.(options);
}
