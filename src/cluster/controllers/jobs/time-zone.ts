const dayMs = 86_400_000;

/** By how much a zone's clocks are ahead of UTC at a time. */
export type OffsetAt = (atMs: number) => number;

/** The offsets of a zone of the time zone database, such as `Europe/Berlin`. Undefined for an unknown one. */
export function offsetsOf(timeZone: string): OffsetAt | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  } catch {
    return undefined;
  }
  return (atMs) => {
    const seconds = Math.floor(atMs / 1000) * 1000;
    const part = Object.fromEntries(format.formatToParts(seconds).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) - seconds;
  };
}

/** When the clocks are first set after `fromMs`, and not after `toMs`. */
export function nextChange(offsetAt: OffsetAt, fromMs: number, toMs: number): number | undefined {
  const offset = offsetAt(fromMs);
  for (let before = fromMs; before < toMs;) {
    let after = Math.min(toMs, before + dayMs);
    if (offsetAt(after) === offset) {
      before = after;
      continue;
    }
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (offsetAt(middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }
  return undefined;
}
