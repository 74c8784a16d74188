import type { UntypedObject } from "../../../api/index.ts";
import type { TableColumn } from "../contract.ts";

/** The table form of a kind in lists. */
export interface TableForm {
  readonly columns: readonly TableColumn[];
  readonly cells: (object: UntypedObject, nowMs: number) => readonly unknown[];
}

const nameDescription = "Name must be unique within a namespace.";

/** Reads `Name|Ready|IP*|Desired:integer`: a type after a colon (default string), `*` for columns of `-o wide`. */
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

/** The table form of kinds without columns of their own. */
export const defaultTable: TableForm = {
  columns: columns("Name|Created At:date"),
  cells: (object) => [object.metadata.name ?? "", object.metadata.creationTimestamp ?? "<unknown>"],
};
