import UPlot from "uplot";
import { axisTop, formatTick, type ChartUnit } from "./chart-unit.ts";

export interface PlotLine {
  readonly label: string;
  /** A color in the form `rgb(…)`, which a canvas accepts. */
  readonly color: string;
  readonly dashed: boolean;
}

export interface PlotColors {
  readonly text: string;
  readonly grid: string;
  readonly surface: string;
  readonly bound: string;
  readonly boundGround: string;
  readonly font: string;
}

export interface PlotOptions {
  readonly host: HTMLElement;
  readonly unit: ChartUnit;
  readonly lines: readonly PlotLine[];
  readonly colors: PlotColors;
  readonly height: number;
  /** Values above it fail. It is drawn as a line, with a tinted band above it. */
  readonly bound: number | undefined;
  /** Called with the index of the time under the pointer, or with undefined if the pointer has left. */
  readonly onPoint: (index: number | undefined) => void;
}

export interface PlotData {
  readonly timesMs: readonly number[];
  readonly values: readonly (readonly (number | null | undefined)[])[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** A chart that adapts to the width of its host element. */
export class Plot {
  readonly #plot: UPlot;
  readonly #resizes: ResizeObserver;
  #bound: number | undefined;
  #data: PlotData = { timesMs: [], values: [], fromMs: 0, toMs: 1 };

  constructor({ host, unit, lines, colors, height, bound, onPoint }: PlotOptions) {
    this.#bound = bound;
    const axis: UPlot.Axis = {
      stroke: colors.text,
      font: `11px ${colors.font}`,
      grid: { stroke: colors.grid, width: 1 },
      ticks: { show: false },
    };
    this.#plot = new UPlot(
      {
        width: Math.max(120, host.clientWidth),
        height,
        ms: 1,
        legend: { show: false },
        padding: [8, 18, 0, 0],
        cursor: { y: false, points: { size: 7, width: 2 }, drag: { x: false, y: false, setScale: false } },
        scales: {
          x: { time: true, range: () => [this.#data.fromMs, this.#data.toMs] },
          y: { range: (_plot, _least, greatest) => [0, axisTop(unit, Math.max(0, greatest ?? 0), this.#bound)] },
        },
        axes: [
          { ...axis, size: 30, gap: 9, space: 70, values: (_plot, times) => times.map(clockText(times)) },
          {
            ...axis,
            size: axisWidth,
            gap: 4,
            space: 30,
            values: (_plot, values) => values.map((value) => formatTick(unit, value)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: line.color,
            width: 1.75,
            spanGaps: false,
            points: { size: 4, fill: line.color },
            ...(line.dashed ? { dash: [6, 4] } : {}),
          })),
        ],
        hooks: {
          drawClear: [(plot) => this.#drawBound(plot, colors)],
          setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)],
        },
      },
      [[], ...lines.map(() => [])],
      host,
    );
    this.#resizes = new ResizeObserver(() => {
      if (host.clientWidth > 0 && host.clientWidth !== this.#plot.width)
        this.#plot.setSize({ width: host.clientWidth, height });
    });
    this.#resizes.observe(host);
  }

  setData(data: PlotData, bound: number | undefined): void {
    this.#data = data;
    this.#bound = bound;
    this.#plot.setData([[...data.timesMs], ...data.values.map((values) => [...values])]);
  }

  /** Moves the cursor to a time, as the pointer does. */
  point(index: number | undefined): void {
    const time = index === undefined ? undefined : this.#data.timesMs[index];
    this.#plot.setCursor({
      left: time === undefined ? -10 : this.#plot.valToPos(time, "x"),
      top: time === undefined ? -10 : 10,
    });
  }

  close(): void {
    this.#resizes.disconnect();
    this.#plot.destroy();
  }

  #drawBound(plot: UPlot, colors: PlotColors): void {
    if (this.#bound === undefined) return;
    const { ctx, bbox } = plot;
    const y = plot.valToPos(this.#bound, "y", true);
    if (y < bbox.top) return;
    ctx.save();
    ctx.fillStyle = colors.boundGround;
    ctx.fillRect(bbox.left, bbox.top, bbox.width, y - bbox.top);
    ctx.strokeStyle = colors.bound;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

const axisWidth = 56;
const toMinutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const toSeconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function clockText(times: readonly number[]): (time: number) => string {
  const stepMs = (times[1] ?? 0) - (times[0] ?? 0);
  const format = stepMs > 0 && stepMs < 60_000 ? toSeconds : toMinutes;
  return (time) => format.format(time);
}
