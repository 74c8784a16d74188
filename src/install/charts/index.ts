import { banzaiOperatorChart } from "./banzai-chart.ts";
import type { Chart } from "./chart.ts";
import type { ChartOptions } from "./chart-settings.ts";
import { gatewayChart } from "./gateway-chart.ts";
import { baseChart, istiodChart } from "./istio-charts.ts";
import { cniChart, ztunnelChart } from "./node-charts.ts";

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
