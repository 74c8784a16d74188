import type { ComponentChildren } from "preact";
import type { SortValue } from "./row-order.ts";

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  readonly cell: (row: Row, key: string) => ComponentChildren;
  /** The value to sort by. Without it, users cannot sort by this column. */
  readonly sort?: (row: Row, key: string) => SortValue;
  /** Numbers are aligned to the right. */
  readonly number?: boolean;
  /** In CSS. Columns without a width share what is left. */
  readonly width?: string;
  /** A column of priority 2 is hidden on a phone, and one of 3 also in a small window. */
  readonly priority?: 1 | 2 | 3;
}
