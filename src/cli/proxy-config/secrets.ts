import { secretRows, type ConfigDump } from "../../proxy-dump/index.ts";
import { renderTable } from "../terminal/table.ts";

/** `named` shows names as `secret/<name>`, for several tables in one output. */
export function secretTable(dump: ConfigDump, nowMs: number, named = false): string {
  const { header, rows } = secretRows(dump, nowMs);
  if (rows.length === 0) return "No active or warming secrets found.\n";
  return renderTable(header, named ? rows.map(([name = "", ...others]) => [`secret/${name}`, ...others]) : rows, 5);
}
