// Converts between instants and local times of a time zone. A local time is a number: the milliseconds of the instant
// at which UTC shows the same date and time.

import { moduleCache } from "../bounded-cache.ts";

const dayMs = 86_400_000;
const formats = moduleCache<string, Intl.DateTimeFormat>("time-zones", 600);

/** How far the zone's clocks are ahead of UTC at this instant. Throws a `RangeError` for an unknown zone. */
export function zoneOffsetMs(timeZone: string, instantMs: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(instantMs)) parts[type] = Number(value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instantMs / 1000) * 1000;
}

export function localOf(timeZone: string, instantMs: number): number {
  return instantMs + zoneOffsetMs(timeZone, instantMs);
}

/**
 * The instant of a local time. If clocks show the local time twice, this is the first instant. If they skip it, the
 * offset before the gap applies, as RFC 5545 says.
 */
export function instantOf(timeZone: string, localMs: number): number {
  const before = zoneOffsetMs(timeZone, localMs - dayMs);
  const after = zoneOffsetMs(timeZone, localMs + dayMs);
  const candidates = [localMs - before, localMs - after].filter((instant) => localOf(timeZone, instant) === localMs);
  return candidates.length === 0 ? localMs - before : Math.min(...candidates);
}

/**
 * The first instant after `fromMs` from which the zone's clocks have another offset. Undefined if there is none before
 * `toMs`.
 */
export function nextClockChange(timeZone: string, fromMs: number, toMs: number): number | undefined {
  const offsetMs = zoneOffsetMs(timeZone, fromMs);
  for (let before = fromMs; before < toMs;) {
    let after = Math.min(toMs, before + dayMs);
    if (zoneOffsetMs(timeZone, after) === offsetMs) {
      before = after;
      continue;
    }
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (zoneOffsetMs(timeZone, middle) === offsetMs) before = middle;
      else after = middle;
    }
    return after;
  }
  return undefined;
}

/** Whether this names a time zone, such as `Europe/Berlin` or `UTC`, or an offset, such as `+01:00`. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  formats.set(timeZone, format);
  return format;
}
