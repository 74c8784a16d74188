import type { JSX } from "preact";
import { formatClock, formatDate, formatDuration, formatZonedDate } from "../format.ts";
import { serverNowMs } from "../live/index.ts";

const dayMs = 86_400_000;

/** `4 min 10 s ago`, updated by itself. Its tooltip shows the exact time. */
export function Age({ atMs, ago = true }: { readonly atMs: number | undefined; readonly ago?: boolean }): JSX.Element {
  if (atMs === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatZonedDate(atMs)}>
      {formatDuration(serverNowMs.value - atMs)}
      {ago ? " ago" : ""}
    </time>
  );
}

/** An exact time: `14:02:09`, with the date if that is not today. */
export function Moment({ atMs }: { readonly atMs: number | undefined }): JSX.Element {
  if (atMs === undefined) return <span class="muted">–</span>;
  const near = Math.abs(serverNowMs.peek() - atMs) < dayMs / 2;
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatZonedDate(atMs)}>
      {near ? formatClock(atMs) : formatDate(atMs)}
    </time>
  );
}
