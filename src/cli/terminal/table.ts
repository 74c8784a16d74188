import { withoutControls } from "../../base/index.ts";

/** Adds escape sequences without width to a cell, such as colours. */
export type CellStyle = (cell: string, column: string) => string;

/**
 * The maximum width of a column. A longer cell extends beyond it, so that one very long name does not push the other
 * columns far to the right.
 */
const widestCell = 1_000;

export function columnWidths(header: readonly string[], rows: readonly (readonly string[])[]): number[] {
  return header.map((title, column) =>
    rows.reduce((width, row) => {
      const { length } = row[column] ?? "";
      return length > widestCell ? width : Math.max(width, length);
    }, title.length),
  );
}

/**
 * Renders rows under a header. `gap` is the number of spaces between columns: three as in kubectl, five as in istioctl.
 */
export function renderTable(
  header: readonly string[],
  given: readonly (readonly string[])[],
  gap = 3,
  style: CellStyle = (cell) => cell,
): string {
  const rows = given.map((row) => row.map(withoutControls));
  const widths = columnWidths(header, rows);
  const line = (row: readonly string[], styled: CellStyle): string => {
    const last = row.findLastIndex((cell) => cell !== "");
    return `${header
      .slice(0, last + 1)
      .map(
        (title, column) =>
          `${styled(row[column] ?? "", title)}${column === last ? "" : " ".repeat(Math.max(0, (widths[column] ?? 0) - (row[column] ?? "").length) + gap)}`,
      )
      .join("")}\n`;
  };
  return line(header, (cell) => cell) + rows.map((row) => line(row, style)).join("");
}
