import type { CliContext } from "../context.ts";

/** An output that shows a text which changes. */
export interface Screen {
  /** Whether a new text replaces the last one. If not, `show` adds to the output. */
  readonly isRedrawn: boolean;
  show(text: string): void;
  close(): void;
}

/** A screen that prints every text as it is. */
export function plainScreen(context: CliContext): Screen {
  return { isRedrawn: false, show: (text) => context.out(text), close: () => undefined };
}

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";

/**
 * A screen for this output: a terminal redraws the text in place, or below the lines that were written to standard
 * error meanwhile. Any other output gets each new line once.
 */
export function screenOf(context: CliContext): Screen {
  if (!context.colour || context.columns() === undefined) return seenLines(context);
  let lines = 0;
  let errorLines = context.errorLines();
  context.out(hideCursor);
  return {
    isRedrawn: true,
    show: (text) => {
      const isOnTop = errorLines === context.errorLines();
      const up = lines === 0 || !isOnTop ? "" : `\u001b[${lines}A`;
      context.out(`${up}\r\u001b[J${text}`);
      errorLines = context.errorLines();
      lines = text.split("\n").length - 1;
    },
    close: () => context.out(showCursor),
  };
}

/**
 * A screen for an output that cannot be redrawn. It prints only the lines that its last text did not have, and leaves
 * out future steps (`○`).
 */
function seenLines(context: CliContext): Screen {
  let before = new Set<string>();
  return {
    isRedrawn: false,
    show: (text) => {
      const lines = text.split("\n").filter((line) => line !== "");
      for (const line of lines) if (!before.has(line) && !line.startsWith("  ○")) context.out(`${line}\n`);
      before = new Set(lines);
    },
    close: () => undefined,
  };
}
