import type { JSX } from "preact";
import { formatClock, formatDate, formatDuration, formatZonedDate } from "../format.ts";
import { serverNowMs } from "../live/index.ts";

const dayMs = 86_400_000;

/** An age that keeps itself up to date: `4 min 10 s ago`. Its tooltip shows the exact time. */
export function Age({ atMs, ago = true }: { readonly atMs: number | undefined; readonly ago?: boolean }): JSX.Element {
  if (atMs === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatZonedDate(atMs)}>
      {formatDuration(serverNowMs.value - atMs)}
      {ago ? " ago" : ""}
    </time>
  );
}

/** A time to come, and how long it is until then: `14:02:09 (in 4 min 10 s)`. */
export function Until({ atMs }: { readonly atMs: number }): JSX.Element {
  const leftMs = atMs - serverNowMs.value;
  return (
    <>
      <Moment atMs={atMs} />
      {leftMs > 0 ? ` (in ${formatDuration(leftMs)})` : ""}
    </>
  );
}

/** An exact time: `14:02:09`, with the date unless it is less than half a day away. */
export function Moment({ atMs }: { readonly atMs: number | undefined }): JSX.Element {
  if (atMs === undefined) return <span class="muted">–</span>;
  const near = Math.abs(serverNowMs.peek() - atMs) < dayMs / 2;
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatZonedDate(atMs)}>
      {near ? formatClock(atMs) : formatDate(atMs)}
    </time>
  );
}
