import type { View } from "../../../api/dashboard/index.ts";

/** The next view, with the former objects in place of equal rows and tables, so that only changes are rendered. */
export function keepEqualRows(before: View, next: View): View {
  const tables: Record<string, Readonly<Record<string, object>>> = {};
  for (const [name, rows] of Object.entries(next.tables)) tables[name] = keptTable(before.tables[name], rows);
  return { head: next.head, tables };
}

function keptTable(
  before: Readonly<Record<string, object>> | undefined,
  next: Readonly<Record<string, object>>,
): Readonly<Record<string, object>> {
  if (before === undefined) return next;
  const kept: Record<string, object> = {};
  let equal = Object.keys(before).length === Object.keys(next).length;
  for (const [key, row] of Object.entries(next)) {
    const old = before[key];
    const same = old !== undefined && JSON.stringify(old) === JSON.stringify(row);
    kept[key] = same ? old : row;
    equal &&= same;
  }
  return equal ? before : kept;
}
