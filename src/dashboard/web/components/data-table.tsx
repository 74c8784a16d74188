import type { ComponentChildren, JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { countOf } from "../format.ts";
import { place, setQuery } from "../router.ts";
import type { Column } from "./column.ts";
import { formatOrder, heldOrder, matches, orderKeys, parseOrder, type RowOrder } from "./row-order.ts";
import { SearchField } from "./search-field.tsx";
import { TableFrame } from "./table-frame.tsx";

export interface DataTableProps<Row> {
  /** The table's name for screen readers and for its filter: `Workloads`. */
  readonly label: string;
  /** What a row is: `["workload", "workloads"]`. */
  readonly noun: readonly [one: string, many: string];
  readonly rows: Readonly<Record<string, Row>>;
  readonly columns: readonly Column<Row>[];
  /** The order by default. `-rate` means by the column `rate`, the greatest first. */
  readonly order: string;
  /** The text in which the filter searches a row. Without it, there is no filter. */
  readonly text?: (row: Row, key: string) => string;
  /**
   * Distinguishes the tables of a page in the link. The parameter of the filter is `<id>q`, and that of the order is
   * `<id>sort`.
   */
  readonly id?: string;
  readonly empty: ComponentChildren;
  readonly title?: ComponentChildren;
  readonly tools?: ComponentChildren;
  /**
   * Whether a cell may take several lines. All rows are then rendered, so the table should have at most some hundred.
   */
  readonly wrap?: boolean;
}

/**
 * A table in a card. The link contains its order and filter. A row is rendered again only if it is another object than
 * before.
 */
export function DataTable<Row>(props: DataTableProps<Row>): JSX.Element {
  const { label, noun, rows, columns, order, text, id = "", empty, title, tools, wrap = false } = props;
  const query = place.value.query[`${id}q`] ?? "";
  const sorting = parseOrder(
    place.value.query[`${id}sort`] ?? "",
    parseOrder(order, { column: "", descending: false }),
  );
  const held = useRef(false);
  const keys = useShownKeys(props, query, sorting, held);
  const all = Object.keys(rows).length;
  const filter = (value: string): void => setQuery({ [`${id}q`]: value });
  const sortBy = (column: string): void => {
    const descending =
      sorting.column === column ? !sorting.descending : (columns.find(({ key }) => key === column)?.number ?? false);
    setQuery({ [`${id}sort`]: formatOrder({ column, descending }) });
  };
  return (
    <section class="card" aria-label={label}>
      {title === undefined && text === undefined && tools === undefined ? undefined : (
        <div class="card-head">
          {title === undefined ? undefined : <h2>{title}</h2>}
          <span class="muted small" aria-live="polite">
            {keys.length === all
              ? countOf(all, ...noun)
              : `${keys.length.toLocaleString("en-US")} of ${countOf(all, ...noun)}`}
          </span>
          <div class="card-tools">
            {tools}
            {text === undefined ? undefined : (
              <SearchField label={`Filter ${noun[1]}`} value={query} onChange={filter} />
            )}
          </div>
        </div>
      )}
      {all === 0 ? (
        empty
      ) : keys.length === 0 ? (
        <div class="state-block">
          <strong>
            No {noun[0]} matches “{query}”
          </strong>
          <button type="button" class="button" onClick={() => filter("")}>
            Show all
          </button>
        </div>
      ) : (
        <TableFrame
          label={label}
          columns={columns}
          rows={rows}
          keys={keys}
          sorting={sorting}
          onSort={sortBy}
          held={held}
          wrap={wrap}
        />
      )}
    </section>
  );
}

/**
 * The keys of the rows that match the filter, in order. While the pointer or the focus is in the table, rows keep their
 * places.
 */
function useShownKeys<Row>(
  { rows, columns, text }: DataTableProps<Row>,
  query: string,
  sorting: RowOrder,
  held: { readonly current: boolean },
): readonly string[] {
  const shown = useRef<{ readonly by: string; readonly keys: readonly string[] }>({ by: "", keys: [] });
  return useMemo(() => {
    const all = Object.keys(rows);
    const found =
      query === "" || text === undefined ? all : all.filter((key) => matches(text(rows[key] as Row, key), query));
    const column = columns.find(({ key }) => key === sorting.column);
    const wanted =
      column?.sort === undefined
        ? found
        : orderKeys(found, (key) => column.sort?.(rows[key] as Row, key), sorting.descending);
    const by = `${sorting.column} ${sorting.descending} ${query}`;
    const next = held.current && shown.current.by === by ? heldOrder(shown.current.keys, wanted) : wanted;
    shown.current = { by, keys: next };
    return next;
  }, [rows, query, sorting.column, sorting.descending, columns]);
}
