// Charts of time series.
export type { ChartTone } from "./chart-line.ts";
export { SeriesChart, type ChartSubject, type SeriesChartProps } from "./series-chart.tsx";
