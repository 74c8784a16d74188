import { secretRows, type ConfigDump } from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

export function secretTable(dump: ConfigDump, nowMs: number, { columns, named = false }: TableOptions): string {
  const { header, rows } = secretRows(dump, nowMs);
  if (rows.length === 0) return "No active or warming secrets found.\n";
  const shown = named ? rows.map(([name = "", ...others]) => [`secret/${name}`, ...others]) : rows;
  return fittedTable(header, shown, { columns, gap: 5 });
}
