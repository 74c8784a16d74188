import type { ComponentChildren } from "preact";
import type { SortValue } from "./row-order.ts";

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  readonly cell: (row: Row, key: string) => ComponentChildren;
  /** The value for sorting. If absent, the table cannot be sorted by this column. */
  readonly sort?: (row: Row, key: string) => SortValue;
  /** Whether the column has numbers, which are right-aligned. */
  readonly number?: boolean;
  /** The CSS width. Columns without one share the remaining width. */
  readonly width?: string;
  /** 2: hidden on a phone. 3: also hidden in a small window. */
  readonly priority?: 1 | 2 | 3;
}
