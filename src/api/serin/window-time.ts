import { instantOf } from "../../base/zoned-time/index.ts";
import { isCalendarTime } from "./recurrence-rule.ts";

const pattern = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?)(?:Z|[+-]\d{2}:\d{2})?$/;
/** The first year in which a window may start. An earlier start would only make rules slow to evaluate. */
const firstYear = "1970";

/** Whether this is a time of a freeze's window: a local time such as `2026-12-20T18:00:00`, or one with an offset. */
export function isWindowTime(text: string): boolean {
  const [, local = ""] = pattern.exec(text) ?? [];
  return local >= firstYear && isCalendarTime(local) && !Number.isNaN(Date.parse(text));
}

/** The instant of a window's time. Without an offset, it is a local time in the freeze's time zone. */
export function instantFrom(text: string, timeZone: string): number {
  if (/(Z|[+-]\d{2}:\d{2})$/.test(text)) return Date.parse(text);
  return instantOf(timeZone, Date.parse(`${text}Z`));
}
