import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Column } from "./column.ts";
import type { RowOrder } from "./row-order.ts";
import { useKeptFocus } from "./use-kept-focus.ts";
import { useRowCache } from "./use-row-cache.tsx";
import { useRowsInSight, wholeRows } from "./use-rows-in-sight.ts";

export interface TableFrameProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: Readonly<Record<string, Row>>;
  readonly keys: readonly string[];
  readonly sorting: RowOrder;
  readonly onSort: (column: string) => void;
  /** Whether the pointer or the focus is in the rows. */
  readonly held: { current: boolean };
  readonly wrap: boolean;
}

/** The table itself. Of many rows, it renders only those in sight. */
export function TableFrame<Row>({
  label,
  columns,
  rows,
  keys,
  sorting,
  onSort,
  held,
  wrap,
}: TableFrameProps<Row>): JSX.Element {
  const body = useRef<HTMLTableSectionElement>(null);
  const virtual = !wrap && keys.length > wholeRows;
  const { from, to, rowHeight } = useRowsInSight(body, keys.length, virtual);
  const cache = useRowCache(columns);
  useKeptFocus(body);
  return (
    <div class={`table-frame${wrap ? " table-wrap" : ""}`}>
      <table class="table" role="table" aria-label={label} aria-rowcount={virtual ? keys.length + 1 : undefined}>
        <colgroup>
          {columns.map(({ key, width, priority }) => (
            <col key={key} data-priority={priority} style={width === undefined ? {} : { width }} />
          ))}
        </colgroup>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={virtual ? 1 : undefined}>
            {columns.map((column) => (
              <HeadCell
                key={column.key}
                column={column}
                sorted={sorting.column !== column.key ? undefined : sorting.descending ? "descending" : "ascending"}
                onSort={() => onSort(column.key)}
              />
            ))}
          </tr>
        </thead>
        <tbody
          role="rowgroup"
          ref={body}
          onPointerEnter={() => void (held.current = true)}
          onPointerLeave={() => void (held.current = body.current?.contains(document.activeElement) ?? false)}
          onFocusIn={() => void (held.current = true)}
          onFocusOut={() => void (held.current = false)}
        >
          {virtual && from > 0 ? <Spacer height={from * rowHeight} columns={columns.length} /> : undefined}
          {keys
            .slice(virtual ? from : 0, virtual ? to : keys.length)
            .map((key, index) => cache(key, rows[key] as Row, virtual ? from + index + 2 : undefined))}
          {virtual && to < keys.length ? (
            <Spacer height={(keys.length - to) * rowHeight} columns={columns.length} />
          ) : undefined}
        </tbody>
      </table>
    </div>
  );
}

function HeadCell<Row>({
  column,
  sorted,
  onSort,
}: {
  readonly column: Column<Row>;
  readonly sorted: "ascending" | "descending" | undefined;
  readonly onSort: () => void;
}): JSX.Element {
  const { title, sort, number, priority } = column;
  return (
    <th
      scope="col"
      role="columnheader"
      class={number === true ? "number" : undefined}
      data-priority={priority}
      aria-sort={sorted}
    >
      {sort === undefined ? (
        title
      ) : (
        <button type="button" onClick={onSort}>
          <span class="ellipsis">{title}</span>
          <span class="sort-sign" aria-hidden="true">
            {sorted === "descending" ? "↓" : "↑"}
          </span>
        </button>
      )}
    </th>
  );
}

function Spacer({ height, columns }: { readonly height: number; readonly columns: number }): JSX.Element {
  return (
    <tr class="spacer" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}
