/** The column with the highest `spare` is the first to be removed. */
interface SpareColumn {
  readonly spare: number;
}

/**
 * Puts back removed columns that fit, the most important first: after a wide column was removed, there may be space for
 * a narrow one that was removed before it. The result has the order of `all`.
 */
export function withWhatFits<Column extends SpareColumn>(
  all: readonly Column[],
  shown: readonly Column[],
  widthOf: (column: Column) => number,
  room: number,
): Column[] {
  const kept = new Set(shown);
  let left = room;
  for (const column of all.filter((candidate) => !kept.has(candidate)).toSorted((a, b) => a.spare - b.spare)) {
    const width = widthOf(column);
    if (width > left) continue;
    kept.add(column);
    left -= width;
  }
  return all.filter((column) => kept.has(column));
}
