/**
 * The difference between two texts in the style of `diff -u`: lines marked with `-` or `+`, and a few lines around
 * them.
 */
export function lineChanges(before: string, after: string, contextLines = 3): string {
  const script = editScript(linesOf(before), linesOf(after));
  const isNear = script.map((_, index) =>
    script.slice(Math.max(0, index - contextLines), index + contextLines + 1).some(({ sign }) => sign !== " "),
  );
  const lines: string[] = [];
  for (const [index, { sign, line }] of script.entries()) {
    if (isNear[index] === true) lines.push(`${sign} ${line}`.trimEnd());
    else if (isNear[index - 1] === true) lines.push("  …");
  }
  return lines.join("\n");
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

interface Edit {
  readonly sign: " " | "-" | "+";
  readonly line: string;
}

/** Computes the edits from the longest common subsequence of lines. */
function editScript(before: readonly string[], after: readonly string[]): Edit[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  const at = (row: number, column: number): number => lengths[row]?.[column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const current = lengths[row];
      if (current !== undefined)
        current[column] =
          before[row] === after[column]
            ? at(row + 1, column + 1) + 1
            : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const script: Edit[] = [];
  let [row, column] = [0, 0];
  while (row < before.length || column < after.length) {
    const [left, right] = [before[row], after[column]];
    if (left !== undefined && left === right) {
      script.push({ sign: " ", line: left });
      row += 1;
      column += 1;
    } else if (right === undefined || (left !== undefined && at(row + 1, column) >= at(row, column + 1))) {
      script.push({ sign: "-", line: left ?? "" });
      row += 1;
    } else {
      script.push({ sign: "+", line: right });
      column += 1;
    }
  }
  return script;
}
