import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { formatClock } from "../format.ts";
import { resolvedColor, shownTheme } from "../theme.ts";
import { summaryOf } from "./align-series.ts";
import { formatValue, type ChartUnit } from "./chart-unit.ts";
import type { Plot } from "./plot.ts";

/**
 * The colours of lines, which are the same everywhere. `canary` and `stable` have their own, and others are numbered.
 */
export type ChartTone = "canary" | "stable" | "series-1" | "series-2" | "series-3" | "series-4" | "series-5";

export interface ChartLine {
  readonly label: string;
  readonly tone: ChartTone;
  /** One value for each time. null: a gap. undefined: no point here, and the line continues. */
  readonly values: readonly (number | null | undefined)[];
}

export interface TimeChartProps {
  readonly title: string;
  readonly unit: ChartUnit;
  readonly timesMs: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly fromMs: number;
  readonly toMs: number;
  /** Values above it fail. It is drawn as a line with a tinted band above. */
  readonly bound?: number | undefined;
  /** The label of the bound, such as `fails above`. */
  readonly boundLabel?: string | undefined;
  readonly height?: number;
  /** It is not known yet whether there are values. */
  readonly loading?: boolean;
  /** A note beside the title, such as an age or a problem. */
  readonly note?: ComponentChildren;
}

/**
 * A chart of lines over time. The legend shows the values under the pointer, else the last ones. Arrow keys move
 * between times. The plot library is loaded with the first chart.
 */
export function TimeChart({
  title,
  unit,
  timesMs,
  lines,
  fromMs,
  toMs,
  bound,
  boundLabel = "bound",
  height = 150,
  loading = false,
  note,
}: TimeChartProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  const [made, setMade] = useState(0);
  const [pointed, setPointed] = useState<number | undefined>(undefined);
  const id = useId();
  const theme = shownTheme.value;
  const shape = lines.map(({ label, tone }) => `${tone} ${label}`).join("\n");
  const summaries = useMemo(() => lines.map(({ values }) => summaryOf(values)), [lines]);

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
        colors: {
          text: resolvedColor("--text-muted"),
          grid: resolvedColor("--line"),
          surface: resolvedColor("--surface"),
          bound: resolvedColor("--bound"),
          boundGround: resolvedColor("--bad-ground"),
          font: getComputedStyle(document.body).fontFamily,
        },
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

  const at = pointed !== undefined && pointed < timesMs.length ? pointed : undefined;
  const onKeyDown = (event: KeyboardEvent): void => {
    const last = timesMs.length - 1;
    const from = at ?? last;
    const to = {
      ArrowLeft: from - 1,
      ArrowRight: from + 1,
      Home: 0,
      End: last,
      PageUp: from - 10,
      PageDown: from + 10,
    }[event.key];
    if (event.key === "Escape") plot.current?.point(undefined);
    if (to === undefined || last < 0) return;
    event.preventDefault();
    plot.current?.point(Math.max(0, Math.min(last, to)));
  };
  const measured = summaries.some((summary) => summary !== undefined);
  const words = (index: number | undefined): string =>
    lines
      .map(
        ({ label, values }, line) =>
          `${label} ${formatValue(unit, index === undefined ? summaries[line]?.last : values[index])}`,
      )
      .join(", ");
  return (
    <figure class="chart" aria-labelledby={`${id}-title`}>
      <figcaption class="chart-head">
        <h3 id={`${id}-title`}>{title}</h3>
        <ul class="chart-legend">
          {lines.map(({ label, tone, values }, line) => (
            <li key={label}>
              <i class="chart-key" data-tone={tone} aria-hidden="true" />
              {lines.length === 1 ? (
                <span class="visually-hidden">{label}</span>
              ) : (
                <span class="muted">{label}</span>
              )}{" "}
              <strong>{formatValue(unit, at === undefined ? summaries[line]?.last : values[at])}</strong>
            </li>
          ))}
          {bound === undefined ? undefined : (
            <li>
              <i class="chart-key" data-tone="bound" aria-hidden="true" />
              <span class="muted">{boundLabel}</span> <strong>{formatValue(unit, bound)}</strong>
            </li>
          )}
        </ul>
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
        aria-valuetext={
          measured
            ? `${at === undefined ? "last" : formatClock(timesMs[at] ?? 0)}: ${words(at)}`
            : loading
              ? "loading"
              : "no data"
        }
        onKeyDown={onKeyDown}
        onBlur={() => plot.current?.point(undefined)}
      >
        <div ref={host} aria-hidden="true" />
        {measured || loading ? undefined : (
          <p class="chart-empty">
            <span>
              Nothing was measured between {formatClock(fromMs)} and {formatClock(toMs)}.
            </span>
          </p>
        )}
      </div>
      <p class="visually-hidden">
        {lines
          .map(({ label }, line) => {
            const summary = summaries[line];
            return summary === undefined
              ? `${label}: ${loading ? "loading" : "no data"}.`
              : `${label}: minimum ${formatValue(unit, summary.least)}, maximum ${formatValue(unit, summary.greatest)}, last value ${formatValue(unit, summary.last)}.`;
          })
          .join(" ")}
      </p>
    </figure>
  );
}
