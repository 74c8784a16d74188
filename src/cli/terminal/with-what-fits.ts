/** The column with the highest value is removed first. */
interface SpareColumn {
  readonly spare: number;
}

/**
 * Puts removed columns back that still fit, the most important first, in the order of `all`. A wide column may have
 * been removed after a narrow one, which then fits again.
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
