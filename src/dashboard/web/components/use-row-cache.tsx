import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import type { Column } from "./column.ts";

/** Returns the same element as long as the row is the same object. Preact then does not compare its content. */
export function useRowCache<Row>(
  columns: readonly Column<Row>[],
): (key: string, row: Row, rowIndex: number | undefined) => VNode {
  const made = useRef(
    new Map<
      string,
      {
        readonly row: Row;
        readonly rowIndex: number | undefined;
        readonly columns: readonly Column<Row>[];
        readonly element: VNode;
      }
    >(),
  );
  return (key, row, rowIndex) => {
    const before = made.current.get(key);
    if (before !== undefined && before.row === row && before.rowIndex === rowIndex && before.columns === columns)
      return before.element;
    const element = (
      <tr key={key} role="row" aria-rowindex={rowIndex}>
        {columns.map(({ key: column, cell, number, priority }) => (
          <td key={column} role="cell" class={number === true ? "number" : undefined} data-priority={priority}>
            {cell(row, key)}
          </td>
        ))}
      </tr>
    );
    made.current.set(key, { row, rowIndex, columns, element });
    if (made.current.size > maxCachedRows) made.current.delete(made.current.keys().next().value ?? "");
    return element;
  };
}
const maxCachedRows = 1_000;
