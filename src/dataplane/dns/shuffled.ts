import type { Random } from "../../base/index.ts";

/**
 * Returns the items in random order. Clients mostly use the first address of an answer, so each address should be the
 * first one equally often.
 */
export function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  const out = [...items];
  for (let left = out.length - 1; left > 0; left -= 1) {
    const other = Math.floor(random() * (left + 1));
    [out[left], out[other]] = [out[other] as Item, out[left] as Item];
  }
  return out;
}
