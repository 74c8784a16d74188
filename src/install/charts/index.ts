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
export type { ChartOptions } from "./chart-settings.ts";

/** All charts of a release, derived from what `install` renders. Pure: the same options give the same files. */
export function renderCharts(options: ChartOptions): Chart[] {
  return [
    baseChart(options),
    istiodChart(options),
    cniChart(options),
    ztunnelChart(options),
    gatewayChart(options),
    banzaiOperatorChart(options),
  ];
}
