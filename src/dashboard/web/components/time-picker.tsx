import type { JSX } from "preact";
import { formatClock, formatDuration } from "../format.ts";
import { serverNowMs } from "../live/index.ts";
import { place, setQuery } from "../router.ts";

const windows = [60, 300, 900, 3_600] as const;
const defaultWindowSeconds = 60;

/** The measured window and the moment that the link names: `atMs` of 0 is now. */
export function chosenTime(): { readonly windowSeconds: number; readonly atMs: number } {
  const { window = "", at = "" } = place.value.query;
  const windowSeconds = Number(window);
  const atMs = Number(at);
  return { windowSeconds: Number.isFinite(windowSeconds) && windowSeconds > 0 ? windowSeconds : defaultWindowSeconds, atMs: Number.isFinite(atMs) && atMs > 0 ? atMs : 0 };
}

/** Over how long is measured, and which moment is shown, back to what the store still has. */
export function TimePicker({ oldestMs }: { readonly oldestMs?: number | undefined }): JSX.Element {
  const { windowSeconds, atMs } = chosenTime();
  const nowMs = serverNowMs.value;
  const fromMs = oldestMs ?? nowMs;
  return (
    <div class="row">
      <label class="row">
        <span class="small muted">Over</span>
        <select class="select" style={{ width: "auto" }} value={String(windowSeconds)} onChange={(event) => setQuery({ window: event.currentTarget.value })}>
          {[...new Set([...windows, windowSeconds])].sort((a, b) => a - b).map((seconds) => (
            <option key={seconds} value={String(seconds)}>
              {formatDuration(seconds * 1_000)}
            </option>
          ))}
        </select>
      </label>
      <label class="row">
        <span class="small muted">Moment</span>
        <input
          type="range"
          aria-valuetext={atMs === 0 ? "now" : formatClock(atMs)}
          min={0}
          max={1_000}
          step={1}
          disabled={oldestMs === undefined}
          value={atMs === 0 ? 1_000 : Math.round(((atMs - fromMs) / Math.max(1, nowMs - fromMs)) * 1_000)}
          onChange={(event) => {
            const part = Number(event.currentTarget.value);
            setQuery({ at: part >= 1_000 ? "" : String(Math.round(fromMs + (part / 1_000) * (nowMs - fromMs))) }, "push");
          }}
        />
      </label>
      <button type="button" class="button" aria-pressed={atMs === 0} onClick={() => setQuery({ at: "" }, "push")}>
        {atMs === 0 ? "Now" : `${formatClock(atMs)}: back to now`}
      </button>
    </div>
  );
}
