import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { chosenTime } from "../components/index.ts";
import { formatClock, formatDuration } from "../format.ts";
import { serverNowMs } from "../live/index.ts";
import { setQuery } from "../router.ts";
import { nextMoment } from "./graph-state.ts";

const windows = [30, 60, 300, 900, 1800, 3600] as const;
const frameMs = 1000;
const settleMs = 180;
/** Playing shows the whole stored time in about this many steps. */
const playSteps = 120;
const leastStepMs = 10_000;

/** Chooses the moment and the window of the graph, with a slider over the stored time that can play. */
export function TimeTravel({
  oldestMs,
  shownAtMs,
  loading,
}: {
  readonly oldestMs: number | undefined;
  readonly shownAtMs: number | undefined;
  readonly loading: boolean;
}): JSX.Element {
  const { windowSeconds, atMs } = chosenTime();
  const nowMs = serverNowMs.value;
  const fromMs = Math.min(oldestMs ?? nowMs, nowMs - 1000);
  const stepMs = Math.max(leastStepMs, Math.round((nowMs - fromMs) / playSteps / 1000) * 1000);
  const [held, setHeld] = useState<number | undefined>(undefined);
  const [playing, setPlaying] = useState(false);
  const canTravel = oldestMs !== undefined && nowMs - oldestMs > leastStepMs;

  useEffect(() => {
    if (held === undefined) return undefined;
    const timer = setTimeout(() => {
      setQuery({ at: held >= serverNowMs.peek() - stepMs / 2 ? "" : String(Math.round(held)) });
      setHeld(undefined);
    }, settleMs);
    return () => clearTimeout(timer);
  }, [held]);
  useEffect(() => {
    if (!playing || loading) return undefined;
    const timer = setTimeout(() => {
      const next = nextMoment(chosenTime().atMs, stepMs, serverNowMs.peek());
      setQuery({ at: next === 0 ? "" : String(next) });
      if (next === 0) setPlaying(false);
    }, frameMs);
    return () => clearTimeout(timer);
  }, [playing, loading, atMs]);

  const play = (): void => {
    if (playing) {
      setPlaying(false);
      return;
    }
    if (atMs === 0) setQuery({ at: String(Math.round(fromMs + windowSeconds * 1000)) }, "push");
    setPlaying(true);
  };
  const value = held ?? (atMs === 0 ? nowMs : atMs);
  const back = nowMs - value;
  return (
    <div class="time-travel">
      <button
        type="button"
        class="button"
        disabled={!canTravel}
        aria-label={playing ? "Pause" : "Play from here"}
        title={playing ? "Pause" : atMs === 0 ? "Play from the oldest" : "Play from here"}
        onClick={play}
      >
        <svg width="12" height="12" viewBox="0 0 12 12" fill="currentColor" aria-hidden="true">
          {playing ? <path d="M2 1h3v10H2zM7 1h3v10H7z" /> : <path d="M2.5 1 11 6l-8.500 5z" />}
        </svg>
      </button>
      <input
        type="range"
        class="time-range"
        aria-label="Moment"
        aria-valuetext={value >= nowMs - 1000 ? "now" : `${formatClock(value)}, ${formatDuration(back)} ago`}
        min={fromMs}
        max={nowMs}
        step={1000}
        disabled={!canTravel}
        value={value}
        onInput={(event) => {
          setPlaying(false);
          setHeld(Number(event.currentTarget.value));
        }}
      />
      <span class="time-shown">
        {atMs === 0 && held === undefined ? (
          <span class="muted">now</span>
        ) : (
          <>
            <strong>{formatClock(held ?? shownAtMs ?? atMs)}</strong>{" "}
            <span class="muted">{formatDuration(back)} ago</span>
          </>
        )}
      </span>
      <button
        type="button"
        class="button"
        aria-pressed={atMs === 0}
        onClick={() => {
          setPlaying(false);
          setQuery({ at: "" }, "push");
        }}
      >
        Live
      </button>
      <label class="row nowrap">
        <span class="small muted">over</span>
        <select
          class="select time-window"
          value={String(windowSeconds)}
          onChange={(event) => setQuery({ window: event.currentTarget.value })}
        >
          {[...new Set<number>([...windows, windowSeconds])]
            .sort((a, b) => a - b)
            .map((seconds) => (
              <option key={seconds} value={String(seconds)}>
                {formatDuration(seconds * 1000)}
              </option>
            ))}
        </select>
      </label>
    </div>
  );
}
