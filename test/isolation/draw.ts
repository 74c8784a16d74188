/** Repeatable choices. */
export interface Draw {
  below(bound: number): number;
  of<Item>(items: readonly Item[]): Item;
  chance(share: number): boolean;
}

/** The generator mulberry32. */
export function drawFrom(seed: number): Draw {
  let state = Math.trunc(seed);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
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
