import type { ComponentChildren } from "preact";
import type { SortValue } from "./row-order.ts";

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  readonly cell: (row: Row, key: string) => ComponentChildren;
  /** The value for sorting. Without it the table cannot be sorted by this column. */
  readonly sort?: (row: Row, key: string) => SortValue;
  /** A number, which is right-aligned. */
  readonly number?: boolean;
  /** The CSS width. Columns without one share the remaining width. */
  readonly width?: string;
  /** 2 is hidden on a phone, and 3 also in a small window. */
  readonly priority?: 1 | 2 | 3;
}
