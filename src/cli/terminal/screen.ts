import type { CliContext } from "../context.ts";

/** Shows a changing text. */
export interface Screen {
  /** Whether the text is redrawn in place. Otherwise each new line is printed once. */
  readonly isRedrawn: boolean;
  show(text: string): void;
  close(): void;
}

/** Prints each new line once, for logs and pipes. */
export function plainScreen(context: CliContext): Screen {
  return { isRedrawn: false, show: (text) => context.out(text), close: () => undefined };
}

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";

/** A screen that redraws its text in place, or below the lines that were written to standard error meanwhile. */
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

/** A screen that prints each new line once, for a terminal that cannot be redrawn. */
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
