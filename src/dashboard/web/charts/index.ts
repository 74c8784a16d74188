// Charts of time series.
export { SeriesChart, type ChartSubject, type SeriesChartProps } from "./series-chart.tsx";
export type { ChartTone } from "./time-chart.tsx";
