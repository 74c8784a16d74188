import type { ComponentChildren, JSX, VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { countOf } from "../format.ts";
import { place, setQuery } from "../router.ts";
import { formatOrder, heldOrder, matches, orderKeys, parseOrder, rowsInSight, type SortValue } from "./row-order.ts";
import { SearchField } from "./search-field.tsx";

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

export interface DataTableProps<Row> {
  /** The name of the table for screen readers and above the filter: `Workloads`. */
  readonly label: string;
  /** The word for one row and its plural: `["workload", "workloads"]`. */
  readonly noun: readonly [one: string, many: string];
  readonly rows: Readonly<Record<string, Row>>;
  readonly columns: readonly Column<Row>[];
  /** The default order. `-rate`: by the column `rate`, the greatest first. */
  readonly order: string;
  /** The text of a row that the filter searches. Without it there is no filter. */
  readonly text?: (row: Row, key: string) => string;
  /** Distinguishes tables of one page in the link: their filter is `<id>q`, their order `<id>sort`. */
  readonly id?: string;
  /** Shown if there are no rows at all. */
  readonly empty: ComponentChildren;
  readonly title?: ComponentChildren;
  readonly tools?: ComponentChildren;
  /**
   * Cells may have several lines. Then all rows are rendered, so this is only for tables with up to some hundred rows.
   */
  readonly wrap?: boolean;
}

/** Larger tables render only visible rows. */
const wholeRows = 120;
const spareRows = 14;

/**
 * A table in a card. A row that is the same object as before is not rendered again. Order and filter are in the link.
 */
export function DataTable<Row>({
  label,
  noun,
  rows,
  columns,
  order,
  text,
  id = "",
  empty,
  title,
  tools,
  wrap = false,
}: DataTableProps<Row>): JSX.Element {
  const query = place.value.query[`${id}q`] ?? "";
  const sorting = parseOrder(
    place.value.query[`${id}sort`] ?? "",
    parseOrder(order, { column: "", descending: false }),
  );
  const body = useRef<HTMLTableSectionElement>(null);
  const held = useRef(false);
  const shown = useRef<{ readonly by: string; readonly keys: readonly string[] }>({ by: "", keys: [] });

  const keys = useMemo(() => {
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

  const virtual = !wrap && keys.length > wholeRows;
  const { from, to, rowHeight } = useRowsInSight(body, keys.length, virtual);
  const cache = useRowCache(columns);
  useKeptFocus(body);

  const all = Object.keys(rows).length;
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
              <SearchField
                label={`Filter ${noun[1]}`}
                value={query}
                onChange={(value) => setQuery({ [`${id}q`]: value })}
              />
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
          <button type="button" class="button" onClick={() => setQuery({ [`${id}q`]: "" })}>
            Show all
          </button>
        </div>
      ) : (
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
                    sorted={
                      sorting.column === column.key ? (sorting.descending ? "descending" : "ascending") : undefined
                    }
                    onSort={() => sortBy(column.key)}
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
      )}
    </section>
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

/** Returns the same element while the row is the same object, so that nothing in it is compared. */
function useRowCache<Row>(
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

function useRowsInSight(
  body: { readonly current: HTMLElement | null },
  count: number,
  active: boolean,
): { readonly from: number; readonly to: number; readonly rowHeight: number } {
  const [sight, setSight] = useState({ from: 0, to: wholeRows, rowHeight: 34 });
  useLayoutEffect(() => {
    if (!active) return undefined;
    let frame = 0;
    const look = (): void => {
      frame = 0;
      const element = body.current;
      if (element === null) return;
      const rowHeight =
        Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row-height")) || 34;
      const next = {
        ...rowsInSight({
          count,
          rowHeight,
          top: -element.getBoundingClientRect().top,
          height: window.innerHeight,
          spare: spareRows,
        }),
        rowHeight,
      };
      setSight((before) =>
        before.from === next.from && before.to === next.to && before.rowHeight === next.rowHeight ? before : next,
      );
    };
    const soon = (): void => {
      if (frame === 0) frame = requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, [count, active]);
  return sight;
}

/** Restores the focus of a row, which some browsers drop when the row moves. */
function useKeptFocus(body: { readonly current: HTMLElement | null }): void {
  const focused = useRef<Element | null>(null);
  useLayoutEffect(() => {
    const element = body.current;
    if (element === null) return undefined;
    const onFocusIn = (event: FocusEvent): void => {
      focused.current = event.target as Element;
    };
    const onFocusOut = (event: FocusEvent): void => {
      if (event.relatedTarget !== null) focused.current = null;
    };
    element.addEventListener("focusin", onFocusIn);
    element.addEventListener("focusout", onFocusOut);
    return () => {
      element.removeEventListener("focusin", onFocusIn);
      element.removeEventListener("focusout", onFocusOut);
    };
  }, [body.current]);
  useLayoutEffect(() => {
    const before = focused.current;
    if (before instanceof HTMLElement && before.isConnected && document.activeElement === document.body)
      before.focus({ preventScroll: true });
  });
}
