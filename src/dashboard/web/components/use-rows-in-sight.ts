import { useLayoutEffect, useState } from "preact/hooks";
import { rowsInSight } from "./row-order.ts";

/** A table with at most so many rows renders all of them. */
export const wholeRows = 120;
const spareRows = 14;

export function useRowsInSight(
  body: { readonly current: HTMLElement | null },
  count: number,
  active: boolean,
): { readonly from: number; readonly to: number; readonly rowHeight: number } {
  const [sight, setSight] = useState({ from: 0, to: wholeRows, rowHeight: 34 });
  useLayoutEffect(() => {
    if (!active) return undefined;
    let frame = 0;
    const look = (): void => {
      frame = 0;
      const element = body.current;
      if (element === null) return;
      const rowHeight =
        Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row-height")) || 34;
      const next = {
        ...rowsInSight({
          count,
          rowHeight,
          top: -element.getBoundingClientRect().top,
          height: window.innerHeight,
          spare: spareRows,
        }),
        rowHeight,
      };
      setSight((before) =>
        before.from === next.from && before.to === next.to && before.rowHeight === next.rowHeight ? before : next,
      );
    };
    const soon = (): void => {
      if (frame === 0) frame = requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, [count, active]);
  return sight;
}
