import type { Expression, Selector, TimeShift } from "./syntax.ts";

/** The time range of a query. The two times of an instant query are equal. */
export interface QueryTimes {
  readonly startMs: number;
  readonly endMs: number;
}

export interface SelectionWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The time at which an expression with an offset or `@` is evaluated for the step at `timeMs`. */
export function shiftedMs({ offsetMs, at }: TimeShift, timeMs: number, { startMs, endMs }: QueryTimes): number {
  const base = at === undefined ? timeMs : at === "start" ? startMs : at === "end" ? endMs : at;
  return base - offsetMs;
}

/** For each selector of a query, a range (from, to] with all samples that the query's steps need. */
export function selectionWindows(
  expression: Expression,
  times: QueryTimes,
  lookbackMs: number,
): ReadonlyMap<Selector, SelectionWindow> {
  const windows = new Map<Selector, SelectionWindow>();
  const select = (selector: Selector, { startMs, endMs }: QueryTimes, backMs: number): void => {
    windows.set(selector, {
      fromMs: shiftedMs(selector, startMs, times) - backMs,
      toMs: shiftedMs(selector, endMs, times),
    });
  };
  const visit = (part: Expression, within: QueryTimes): void => {
    switch (part.type) {
      case "selector":
        return select(part, within, lookbackMs);
      case "range":
        return select(part.selector, within, part.rangeMs);
      case "subquery": {
        const startMs = shiftedMs(part, within.startMs, times) - part.rangeMs;
        return visit(part.expression, { startMs, endMs: shiftedMs(part, within.endMs, times) });
      }
      case "call":
        for (const argument of part.args) visit(argument, within);
        return;
      case "aggregation":
        if (part.parameter !== undefined) visit(part.parameter, within);
        return visit(part.expression, within);
      case "binary":
        visit(part.left, within);
        return visit(part.right, within);
      case "negation":
        return visit(part.expression, within);
      case "number":
      case "string":
        return;
    }
  };
  visit(expression, times);
  return windows;
}
