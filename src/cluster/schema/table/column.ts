import type { UntypedObject } from "../../../api/index.ts";
import type { TableColumn } from "../contract.ts";

export interface TableForm {
  readonly columns: readonly TableColumn[];
  readonly cells: (object: UntypedObject, nowMs: number) => readonly unknown[];
}

const nameDescription = "Name must be unique within a namespace.";

/**
 * Parses columns from a text such as `Name|Ready|IP*|Desired:integer`. After a colon comes the type, which is string by
 * default. `*` marks columns of `-o wide`.
 */
export function columns(text: string): TableColumn[] {
  return text.split("|").map((part) => {
    const wide = part.endsWith("*");
    const [name = "", type = "string"] = part.replace(/\*$/, "").split(":");
    return {
      name,
      type,
      format: name === "Name" ? "name" : "",
      description: name === "Name" ? nameDescription : "",
      priority: wide ? 1 : 0,
    };
  });
}

/** The table form of kinds that do not define columns. */
export const defaultTable: TableForm = {
  columns: columns("Name|Created At:date"),
  cells: (object) => [object.metadata.name ?? "", object.metadata.creationTimestamp ?? "<unknown>"],
};
