import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { formatClock } from "../format.ts";
import { resolvedColor, shownTheme } from "../theme.ts";
import type { ChartLine } from "./chart-line.ts";
import { formatValue, type ChartUnit } from "./chart-unit.ts";
import {
  chartSummary,
  isMeasured,
  summarized,
  timeOfKey,
  valueAt,
  wordsAt,
  type SummarizedLine,
} from "./chart-words.ts";
import type { Plot, PlotColors } from "./plot.ts";

export interface TimeChartProps {
  readonly title: string;
  readonly unit: ChartUnit;
  readonly timesMs: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly fromMs: number;
  readonly toMs: number;
  /** Values above it fail. It is drawn as a line, with a tinted band above it. */
  readonly bound?: number | undefined;
  /** For example `fails above`. */
  readonly boundLabel?: string | undefined;
  readonly height?: number;
  /** Whether the values are still loading. If so, a chart without values does not mean that there are none. */
  readonly loading?: boolean;
  /** Whether the time range ends now, so that more values follow. */
  readonly isLive?: boolean;
  /** Shown beside the title, such as an age or a problem. */
  readonly note?: ComponentChildren;
}

const defaultHeight = 150;

/**
 * A chart of lines over time. Its legend shows the values under the pointer, or the last ones. Arrow keys move from
 * time to time. The plot library is loaded with the first chart.
 */
export function TimeChart(props: TimeChartProps): JSX.Element {
  const { title, unit, timesMs, fromMs, toMs, height = defaultHeight, loading = false, isLive = false, note } = props;
  const lines = useMemo(() => summarized(props.lines), [props.lines]);
  const { host, plot, pointed } = usePlot(props);
  const id = useId();
  const at = pointed !== undefined && pointed < timesMs.length ? pointed : undefined;
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") plot.current?.point(undefined);
    const to = timeOfKey(event.key, at, timesMs.length);
    if (to === undefined) return;
    event.preventDefault();
    plot.current?.point(to);
  };
  return (
    <figure class="chart" aria-labelledby={`${id}-title`}>
      <figcaption class="chart-head">
        <h3 id={`${id}-title`}>{title}</h3>
        <ChartLegend {...props} lines={lines} at={at} />
        <span class="chart-note small muted">{at === undefined ? note : formatClock(timesMs[at] ?? 0)}</span>
      </figcaption>
      <div
        class="chart-plot"
        style={{ height: `${height}px` }}
        role="slider"
        tabIndex={0}
        aria-label={`${title} over time`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, timesMs.length - 1)}
        aria-valuenow={at ?? Math.max(0, timesMs.length - 1)}
        aria-valuetext={wordsAt({ unit, timesMs, lines, loading }, at)}
        onKeyDown={onKeyDown}
        onBlur={() => plot.current?.point(undefined)}
      >
        <div ref={host} aria-hidden="true" />
        {isMeasured(lines) || loading ? undefined : (
          <p class="chart-empty">
            <span>
              {isLive
                ? `Nothing has been measured since ${formatClock(fromMs)}. A new dashboard needs some seconds.`
                : `Nothing was measured between ${formatClock(fromMs)} and ${formatClock(toMs)}.`}
            </span>
          </p>
        )}
      </div>
      <p class="visually-hidden">{chartSummary({ unit, lines, loading })}</p>
    </figure>
  );
}

/** Draws the lines into the element `host`. `pointed` is the index of the time under the pointer. */
function usePlot({ unit, timesMs, lines, fromMs, toMs, bound, height = defaultHeight }: TimeChartProps): {
  readonly host: { readonly current: HTMLDivElement | null };
  readonly plot: { readonly current: Plot | undefined };
  readonly pointed: number | undefined;
} {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  const [made, setMade] = useState(0);
  const [pointed, setPointed] = useState<number | undefined>(undefined);
  const theme = shownTheme.value;
  const shape = lines.map(({ label, tone }) => `${tone} ${label}`).join("\n");

  useEffect(() => {
    let gone = false;
    const load = async (): Promise<void> => {
      const { Plot: Made } = await import("./plot.ts");
      const element = host.current;
      if (gone || element === null) return;
      plot.current = new Made({
        host: element,
        unit,
        height,
        bound,
        lines: lines.map(({ label, tone }) => ({
          label,
          color: resolvedColor(`--${tone}`),
          dashed: tone === "stable",
        })),
        colors: plotColors(),
        onPoint: setPointed,
      });
      setMade((count) => count + 1);
    };
    void load();
    return () => {
      gone = true;
      plot.current?.close();
      plot.current = undefined;
    };
  }, [unit, height, shape, theme]);

  useEffect(() => {
    plot.current?.setData({ timesMs, values: lines.map(({ values }) => values), fromMs, toMs }, bound);
  }, [made, timesMs, lines, fromMs, toMs, bound]);
  return { host, plot, pointed };
}

function plotColors(): PlotColors {
  return {
    text: resolvedColor("--text-muted"),
    grid: resolvedColor("--line"),
    surface: resolvedColor("--surface"),
    bound: resolvedColor("--bound"),
    boundGround: resolvedColor("--bad-ground"),
    font: getComputedStyle(document.body).fontFamily,
  };
}

function ChartLegend({
  unit,
  lines,
  bound,
  boundLabel = "bound",
  at,
}: Pick<TimeChartProps, "unit" | "bound" | "boundLabel"> & {
  readonly lines: readonly SummarizedLine[];
  readonly at: number | undefined;
}): JSX.Element {
  return (
    <ul class="chart-legend">
      {lines.map((line) => (
        <li key={line.label}>
          <i class="chart-key" data-tone={line.tone} aria-hidden="true" />
          <span class={lines.length === 1 ? "visually-hidden" : "muted"}>{line.label}</span>{" "}
          <strong>{formatValue(unit, valueAt(line, at))}</strong>
        </li>
      ))}
      {bound === undefined ? undefined : (
        <li>
          <i class="chart-key" data-tone="bound" aria-hidden="true" />
          <span class="muted">{boundLabel}</span> <strong>{formatValue(unit, bound)}</strong>
        </li>
      )}
    </ul>
  );
}
