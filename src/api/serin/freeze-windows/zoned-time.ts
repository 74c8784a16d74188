/** Local times of a zone as instants, and back. A local time is written as the milliseconds of that date and time in UTC. */

const dayMs = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();
const maxZones = 600;

/** How far the zone's clocks are ahead of UTC at this instant. */
export function zoneOffsetMs(timeZone: string, instantMs: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(instantMs)) parts[type] = Number(value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instantMs / 1000) * 1000;
}

/** What the zone's clocks show at this instant. */
export function localOf(timeZone: string, instantMs: number): number {
  return instantMs + zoneOffsetMs(timeZone, instantMs);
}

/**
 * When the zone's clocks show this. A time that is shown twice is the first of the two; one that is left out is counted on from
 * before the gap, as RFC 5545 has it.
 */
export function instantOf(timeZone: string, localMs: number): number {
  const before = zoneOffsetMs(timeZone, localMs - dayMs);
  const after = zoneOffsetMs(timeZone, localMs + dayMs);
  const candidates = [localMs - before, localMs - after].filter((instant) => localOf(timeZone, instant) === localMs);
  return candidates.length === 0 ? localMs - before : Math.min(...candidates);
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
  if (formats.size >= maxZones) formats.clear();
  formats.set(timeZone, format);
  return format;
}
