/** The column with the highest `spare` is removed first. */
interface SpareColumn {
  readonly spare: number;
}

/**
 * Puts back removed columns for which there is space, the most important first. The result has the order of `all`. If a
 * wide column was removed after a narrow one, the narrow one may fit again.
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
