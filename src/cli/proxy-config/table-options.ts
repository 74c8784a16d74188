/** How to print a table of a proxy's configuration. */
export interface TableOptions {
  /** The width of the terminal. Undefined if the output is not a terminal. */
  readonly columns: number | undefined;
  /** Whether names are shown with their kind, such as `cluster/<name>`, because one output has several tables. */
  readonly named?: boolean;
}
