/** A line of a difference. On each side that has the line, it has a number, from 1. */
export interface DiffLine {
  readonly kind: "same" | "gone" | "new";
  readonly text: string;
  readonly before?: number;
  readonly after?: number;
}

/** Changed lines, and some lines around them. `skipped` is the number of equal lines before them. */
export interface DiffHunk {
  readonly skipped: number;
  readonly lines: readonly DiffLine[];
}

/**
 * A difference that needs more edits shows all lines between the common beginning and end as replaced. Nobody reads it
 * in detail.
 */
const maxEdits = 400;

/**
 * The smallest difference between the lines of two texts (Myers' algorithm). Ignores whether a text ends with a line
 * break.
 */
export function lineDiff(before: string, after: string): readonly DiffLine[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const lines: DiffLine[] = [];
  for (let index = 0; index < start; index += 1)
    lines.push({ kind: "same", text: a[index] ?? "", before: index + 1, after: index + 1 });
  lines.push(...middleDiff(a.slice(start, a.length - end), b.slice(start, b.length - end), start));
  for (let index = end; index > 0; index -= 1)
    lines.push({
      kind: "same",
      text: a[a.length - index] ?? "",
      before: a.length - index + 1,
      after: b.length - index + 1,
    });
  return lines;
}

function linesOf(text: string): readonly string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function middleDiff(a: readonly string[], b: readonly string[], offset: number): readonly DiffLine[] {
  const trace = editTrace(a, b);
  if (trace === undefined) {
    return [
      ...a.map((text, index): DiffLine => ({ kind: "gone", text, before: offset + index + 1 })),
      ...b.map((text, index): DiffLine => ({ kind: "new", text, after: offset + index + 1 })),
    ];
  }
  const lines: DiffLine[] = [];
  let x = a.length;
  let y = b.length;
  for (let edits = trace.length - 1; edits >= 0; edits -= 1) {
    const furthest = trace[edits] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -edits || (k !== edits && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const before = down ? k + 1 : k - 1;
    const fromX = edits === 0 ? 0 : (furthest.get(before) ?? 0);
    const fromY = edits === 0 ? 0 : fromX - before;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      lines.push({ kind: "same", text: a[x] ?? "", before: offset + x + 1, after: offset + y + 1 });
    }
    if (edits === 0) break;
    if (down) {
      y -= 1;
      lines.push({ kind: "new", text: b[y] ?? "", after: offset + y + 1 });
    } else {
      x -= 1;
      lines.push({ kind: "gone", text: a[x] ?? "", before: offset + x + 1 });
    }
  }
  return lines.reverse();
}

/**
 * By the number of edits, how far each diagonal had come before it (Myers' algorithm). Undefined if more than {@link
 * maxEdits} are needed.
 */
function editTrace(a: readonly string[], b: readonly string[]): readonly ReadonlyMap<number, number>[] | undefined {
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: ReadonlyMap<number, number>[] = [];
  for (let edits = 0; edits <= Math.min(maxEdits, a.length + b.length); edits += 1) {
    trace.push(new Map(furthest));
    for (let k = -edits; k <= edits; k += 2) {
      const down = k === -edits || (k !== edits && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = down ? (furthest.get(k + 1) ?? 0) : (furthest.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      furthest.set(k, x);
      if (x >= a.length && y >= b.length) return trace;
    }
  }
  return undefined;
}

export function diffHunks(lines: readonly DiffLine[], around = 3): readonly DiffHunk[] {
  const shown = new Set<number>();
  for (const [index, { kind }] of lines.entries()) {
    if (kind === "same") continue;
    for (let near = Math.max(0, index - around); near <= Math.min(lines.length - 1, index + around); near += 1)
      shown.add(near);
  }
  const hunks: { skipped: number; lines: DiffLine[] }[] = [];
  let last = -1;
  for (const index of [...shown].sort((a, b) => a - b)) {
    const line = lines[index];
    if (line === undefined) continue;
    const hunk = hunks.at(-1);
    if (hunk === undefined || index !== last + 1) hunks.push({ skipped: index - last - 1, lines: [line] });
    else hunk.lines.push(line);
    last = index;
  }
  return hunks;
}
