/**
 * Takes one item from the first caller in the map that `mayTake` accepts. If the caller has more items, it moves to the
 * end of the map, so that callers take turns. Returns undefined if no such caller has an item.
 */
export function takeTurn<Item>(
  waiting: Map<string, Item[]>,
  mayTake: (caller: string) => boolean = () => true,
): { readonly caller: string; readonly item: Item } | undefined {
  for (const [caller, items] of waiting) {
    if (!mayTake(caller)) continue;
    const [item, ...others] = items;
    waiting.delete(caller);
    if (others.length > 0) waiting.set(caller, others);
    if (item !== undefined) return { caller, item };
  }
  return undefined;
}
