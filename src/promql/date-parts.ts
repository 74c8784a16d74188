type DatePart = (seconds: number) => number;

function part(partOf: (date: Date) => number): DatePart {
  return (seconds) => partOf(new Date(Math.floor(seconds) * 1000));
}

const dayMs = 86_400_000;

/** Functions from seconds since 1970 to a part of the date in UTC. */
export const dateParts: ReadonlyMap<string, DatePart> = new Map([
  ["year", part((date) => date.getUTCFullYear())],
  ["month", part((date) => date.getUTCMonth() + 1)],
  ["day_of_month", part((date) => date.getUTCDate())],
  ["day_of_week", part((date) => date.getUTCDay())],
  ["day_of_year", part((date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / dayMs) + 1)],
  ["days_in_month", part((date) => new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate())],
  ["hour", part((date) => date.getUTCHours())],
  ["minute", part((date) => date.getUTCMinutes())],
]);
