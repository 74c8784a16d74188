// Charts of time series.
export { SeriesChart, type ChartSubject } from "./series-chart.tsx";
