import type { Corner, ItemLayout, LayoutItem } from "./layered-layout.ts";

/** Packs items into rows in their order. The whole becomes about `aspect` times as wide as it is high. */
export function packItems(items: readonly LayoutItem[], gapX: number, gapY: number, aspect: number): ItemLayout {
  const area = items.reduce((sum, { width, height }) => sum + (width + gapX) * (height + gapY), 0);
  const limit = Math.max(Math.sqrt(area * aspect) * 1.04, ...items.map(({ width }) => width));
  const corners = new Map<string, Corner>();
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  let totalWidth = 0;
  for (const { key, width, height } of items) {
    if (x > 0 && x + width > limit) {
      x = 0;
      y += rowHeight + gapY;
      rowHeight = 0;
    }
    corners.set(key, { x, y });
    totalWidth = Math.max(totalWidth, x + width);
    x += width + gapX;
    rowHeight = Math.max(rowHeight, height);
  }
  return { corners, width: totalWidth, height: items.length === 0 ? 0 : y + rowHeight };
}
