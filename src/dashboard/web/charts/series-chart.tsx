import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Problem, SeriesAnswer, SeriesMeasure, SeriesRequest } from "../../../api/dashboard/index.ts";
import { formatDuration } from "../format.ts";
import { serverNowMs } from "../live/index.ts";
import { problemOf, request } from "../requests.ts";
import { alignSeries, steadyRange } from "./align-series.ts";
import type { ChartTone } from "./chart-line.ts";
import { titleOfMeasure, unitOfMeasure } from "./chart-unit.ts";
import { TimeChart } from "./time-chart.tsx";

/** What a series is about, as in `SeriesRequest`. Without any field, it is the whole mesh. */
export interface ChartSubject {
  readonly label: string;
  readonly tone: ChartTone;
  readonly namespace?: string;
  readonly workload?: string;
  readonly service?: string;
  readonly backend?: string;
}

export interface SeriesChartProps {
  readonly measure: SeriesMeasure;
  readonly subjects: readonly ChartSubject[];
  /** By default, the title of the measure. */
  readonly title?: string;
  /** By default, 15 minutes. */
  readonly windowMs?: number;
  /** The end of the time range. 0 is now, so the range moves. */
  readonly toMs?: number;
  readonly bound?: number | undefined;
  readonly boundLabel?: string | undefined;
  readonly height?: number;
}

const refreshMs = 5_000;
const points = 121;
const defaultWindowMs = 15 * 60_000;

interface Loaded {
  readonly answers: readonly SeriesAnswer[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly atMs: number;
}

/**
 * A {@link TimeChart} that requests its series from the server. It requests them again every 5 s if it shows the
 * present and the page is visible.
 */
export function SeriesChart({
  measure,
  subjects,
  title = titleOfMeasure[measure],
  windowMs = defaultWindowMs,
  toMs = 0,
  bound,
  boundLabel,
  height,
}: SeriesChartProps): JSX.Element {
  const { loaded, problem } = useSeries(measure, subjects, windowMs, toMs);
  const shape = subjects.map(({ label, tone }) => `${tone} ${label}`).join("\n");
  const { timesMs, lines } = useMemo(() => {
    const aligned = alignSeries(loaded?.answers ?? []);
    return {
      timesMs: aligned.timesMs,
      lines: subjects.map(({ label, tone }, index) => ({ label, tone, values: aligned.values[index] ?? [] })),
    };
  }, [loaded, shape]);
  const note =
    problem === undefined ? undefined : (
      <span class="bad-text">
        {loaded === undefined
          ? problem.message
          : `${formatDuration(serverNowMs.value - loaded.atMs)} old: ${problem.message}`}
      </span>
    );
  const nowMs = serverNowMs.peek();
  return (
    <TimeChart
      title={title}
      unit={unitOfMeasure[measure]}
      timesMs={timesMs}
      lines={lines}
      fromMs={loaded?.fromMs ?? nowMs - windowMs}
      toMs={loaded?.toMs ?? nowMs}
      bound={bound}
      boundLabel={boundLabel}
      note={note}
      loading={loaded === undefined}
      isLive={toMs === 0}
      {...(height === undefined ? {} : { height })}
    />
  );
}

function useSeries(
  measure: SeriesMeasure,
  subjects: readonly ChartSubject[],
  windowMs: number,
  toMs: number,
): { readonly loaded: Loaded | undefined; readonly problem: Problem | undefined } {
  const [loaded, setLoaded] = useState<Loaded | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const asked = JSON.stringify([
    measure,
    windowMs,
    toMs,
    subjects.map(({ namespace, workload, service, backend }) => [namespace, workload, service, backend]),
  ]);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      let failed = false;
      const range = steadyRange(toMs === 0 ? serverNowMs.peek() : toMs, windowMs, points);
      if (!document.hidden) {
        try {
          const answers = await Promise.all(
            subjects.map((subject) => request("GET /api/series", seriesRequest(measure, subject, range), abort.signal)),
          );
          setLoaded({ answers, ...range, atMs: serverNowMs.peek() });
          setProblem(undefined);
        } catch (error) {
          if (abort.signal.aborted) return;
          failed = true;
          setProblem(problemOf(error));
        }
      }
      if (!abort.signal.aborted && (toMs === 0 || failed || document.hidden))
        timer = setTimeout(() => void load(), refreshMs);
    };
    setLoaded(undefined);
    void load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [asked]);
  return { loaded, problem };
}

function seriesRequest(
  measure: SeriesMeasure,
  { namespace = "", workload = "", service = "", backend = "" }: ChartSubject,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): SeriesRequest {
  return { measure, namespace, workload, service, backend, fromMs, toMs, points };
}
