export type SortValue = string | number | undefined;

export interface RowOrder {
  readonly column: string;
  readonly descending: boolean;
}

/** `-rate` is by the column `rate`, the greatest first. */
export function parseOrder(text: string, otherwise: RowOrder): RowOrder {
  if (text === "") return otherwise;
  return text.startsWith("-") ? { column: text.slice(1), descending: true } : { column: text, descending: false };
}

export function formatOrder({ column, descending }: RowOrder): string {
  return descending ? `-${column}` : column;
}

const names = new Intl.Collator("en", { numeric: true });

/** Keys in the order of their values; what has none is last either way, and equal ones are by key, so that the order is the same each time. */
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

/** The order that was shown, without what has gone and with what is new at its end: a table under the user's hand does not move. */
export function heldOrder(shown: readonly string[], wanted: readonly string[]): readonly string[] {
  const present = new Set(wanted);
  const held = shown.filter((key) => present.has(key));
  const old = new Set(held);
  return [...held, ...wanted.filter((key) => !old.has(key))];
}

/** Words that must all be in the text; case does not matter. */
export function matches(text: string, query: string): boolean {
  const haystack = text.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => haystack.includes(word));
}

/** Which rows are made: those in sight and some above and below. Rows are of one height. */
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
