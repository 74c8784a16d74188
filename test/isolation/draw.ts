import { seededRandom } from "../../src/base/index.ts";

/** Random choices that can be repeated. */
export interface Draw {
  below(bound: number): number;
  of<Item>(items: readonly Item[]): Item;
  chance(share: number): boolean;
}

export function drawFrom(seed: number): Draw {
  const next = seededRandom(seed);
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (share) => next() < share,
    of: (items) => {
      const index = below(items.length);
      if (index >= items.length) throw new RangeError("there is nothing to draw from");
      return items[index] as (typeof items)[number];
    },
  };
}
