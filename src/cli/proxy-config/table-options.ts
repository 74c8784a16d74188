export interface TableOptions {
  /** The terminal's width. Undefined if the output is not a terminal. */
  readonly columns: number | undefined;
  /** Whether names get their kind, as in `cluster/<name>`, because one output has several tables. */
  readonly named?: boolean;
}
