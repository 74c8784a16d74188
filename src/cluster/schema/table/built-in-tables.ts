import type { ResourceType } from "../contract.ts";
import { defaultTable, type TableForm } from "./column.ts";
import { coreTables } from "./core.ts";
import { groupTables } from "./groups.ts";
import { metricsTables } from "./metrics.ts";
import { podTable } from "./pods.ts";
import { workloadTables } from "./workloads.ts";

const tables: Readonly<Record<string, TableForm>> = {
  "/pods": podTable,
  ...coreTables,
  ...workloadTables,
  ...groupTables,
  ...metricsTables,
};

export function tableFormOf(type: Pick<ResourceType, "group" | "plural">): TableForm {
  return tables[`${type.group}/${type.plural}`] ?? defaultTable;
}
