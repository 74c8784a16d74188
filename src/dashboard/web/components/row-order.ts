export type SortValue = string | number | undefined;

export interface RowOrder {
  readonly column: string;
  readonly descending: boolean;
}

/** Parses an order. `-rate` means by the column `rate`, the greatest first. */
export function parseOrder(text: string, otherwise: RowOrder): RowOrder {
  if (text === "") return otherwise;
  return text.startsWith("-") ? { column: text.slice(1), descending: true } : { column: text, descending: false };
}

export function formatOrder({ column, descending }: RowOrder): string {
  return descending ? `-${column}` : column;
}

const names = new Intl.Collator("en", { numeric: true });

/**
 * Sorts keys by their values. Keys without a value come last in any case. Equal values are sorted by key, so that the
 * order is stable.
 */
export function orderKeys(
  keys: readonly string[],
  valueOf: (key: string) => SortValue,
  descending: boolean,
): readonly string[] {
  const values = new Map(keys.map((key) => [key, valueOf(key)]));
  return [...keys].sort((a, b) => compare(values.get(a), values.get(b), descending) || names.compare(a, b));
}

function compare(a: SortValue, b: SortValue, descending: boolean): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const order = typeof a === "number" && typeof b === "number" ? a - b : names.compare(String(a), String(b));
  return descending ? -order : order;
}

/**
 * Keeps the shown order, so that rows that somebody uses do not move. Leaves out keys that are gone, and appends new
 * ones.
 */
export function heldOrder(shown: readonly string[], wanted: readonly string[]): readonly string[] {
  const present = new Set(wanted);
  const held = shown.filter((key) => present.has(key));
  const old = new Set(held);
  return [...held, ...wanted.filter((key) => !old.has(key))];
}

/** Whether the text contains all words of the query. Ignores case. */
export function matches(text: string, query: string): boolean {
  const haystack = text.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => haystack.includes(word));
}

/** Which rows to render: those in sight, and some above and below. All rows have the same height. */
export function rowsInSight({
  count,
  rowHeight,
  top,
  height,
  spare,
}: {
  readonly count: number;
  readonly rowHeight: number;
  readonly top: number;
  readonly height: number;
  readonly spare: number;
}): { readonly from: number; readonly to: number } {
  const first = Math.floor(top / rowHeight) - spare;
  const last = Math.ceil((top + height) / rowHeight) + spare;
  const from = Math.min(Math.max(0, first), count);
  return { from, to: Math.max(from, Math.min(count, last)) };
}
