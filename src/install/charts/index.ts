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

/** The function that makes each chart, by the chart's name. */
const makers = new Map<string, (options: ChartOptions) => Chart>([
  ["base", baseChart],
  ["istiod", istiodChart],
  ["cni", cniChart],
  ["ztunnel", ztunnelChart],
  ["gateway", gatewayChart],
  ["istio-operator", banzaiOperatorChart],
]);

export const chartNames: readonly string[] = [...makers.keys()];

/** All charts of a release, derived from what `install` renders. Pure: the same options give the same files. */
export function renderCharts(options: ChartOptions): Chart[] {
  return [...makers.values()].map((make) => make(options));
}

/** One of these charts. Undefined if there is none of this name. */
export function renderChartNamed(name: string, options: ChartOptions): Chart | undefined {
  return makers.get(name)?.(options);
}
