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
/** Playing takes about so many steps for the whole stored time. */
const playSteps = 120;
const leastStepMs = 10_000;

/** Chooses the graph's moment and window. A slider over the stored time can play. */
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
  const { heldMs, hold } = useHeldMoment(stepMs);
  const { playing, setPlaying } = usePlaying(loading, stepMs);
  const canTravel = oldestMs !== undefined && nowMs - oldestMs > leastStepMs;

  const play = (): void => {
    if (!playing && atMs === 0) setQuery({ at: String(Math.round(fromMs + windowSeconds * 1000)) }, "push");
    setPlaying(!playing);
  };
  const valueMs = heldMs ?? (atMs === 0 ? nowMs : atMs);
  const back = formatDuration(nowMs - valueMs);
  return (
    <div class="time-travel">
      <PlayButton playing={playing} disabled={!canTravel} live={atMs === 0} onClick={play} />
      <input
        type="range"
        class="time-range"
        aria-label="Moment"
        aria-valuetext={valueMs >= nowMs - 1000 ? "now" : `${formatClock(valueMs)}, ${back} ago`}
        min={fromMs}
        max={nowMs}
        step={1000}
        disabled={!canTravel}
        value={valueMs}
        onInput={(event) => {
          setPlaying(false);
          hold(Number(event.currentTarget.value));
        }}
      />
      <span class="time-shown">
        {atMs === 0 && heldMs === undefined ? (
          <span class="muted">now</span>
        ) : (
          <>
            <strong>{formatClock(heldMs ?? shownAtMs ?? atMs)}</strong> <span class="muted">{back} ago</span>
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
      <WindowChoice windowSeconds={windowSeconds} />
    </div>
  );
}

function PlayButton({
  playing,
  disabled,
  live,
  onClick,
}: {
  readonly playing: boolean;
  readonly disabled: boolean;
  readonly live: boolean;
  readonly onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      class="button"
      disabled={disabled}
      aria-label={playing ? "Pause" : "Play from here"}
      title={playing ? "Pause" : live ? "Play from the oldest" : "Play from here"}
      onClick={onClick}
    >
      <svg width="12" height="12" viewBox="0 0 12 12" fill="currentColor" aria-hidden="true">
        {playing ? <path d="M2 1h3v10H2zM7 1h3v10H7z" /> : <path d="M2.5 1 11 6l-8.500 5z" />}
      </svg>
    </button>
  );
}

/** The moment under the slider's thumb. The link changes only when the thumb rests. */
function useHeldMoment(stepMs: number): {
  readonly heldMs: number | undefined;
  readonly hold: (momentMs: number) => void;
} {
  const [heldMs, setHeldMs] = useState<number | undefined>(undefined);
  useEffect(() => {
    if (heldMs === undefined) return undefined;
    const timer = setTimeout(() => {
      setQuery({ at: heldMs >= serverNowMs.peek() - stepMs / 2 ? "" : String(Math.round(heldMs)) });
      setHeldMs(undefined);
    }, settleMs);
    return () => clearTimeout(timer);
  }, [heldMs]);
  return { heldMs, hold: setHeldMs };
}

/** Moves the link's moment by one step each second, until the present. Waits while a moment is loading. */
function usePlaying(
  loading: boolean,
  stepMs: number,
): { readonly playing: boolean; readonly setPlaying: (playing: boolean) => void } {
  const [playing, setPlaying] = useState(false);
  const { atMs } = chosenTime();
  useEffect(() => {
    if (!playing || loading) return undefined;
    const timer = setTimeout(() => {
      const next = nextMoment(chosenTime().atMs, stepMs, serverNowMs.peek());
      setQuery({ at: next === 0 ? "" : String(next) });
      if (next === 0) setPlaying(false);
    }, frameMs);
    return () => clearTimeout(timer);
  }, [playing, loading, atMs]);
  return { playing, setPlaying };
}

function WindowChoice({ windowSeconds }: { readonly windowSeconds: number }): JSX.Element {
  return (
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
  );
}
