/** Returns a function that restores the present content of the map. `copyOf` copies values that change in place. */
export function rememberedMap<Key, Value>(
  map: Map<Key, Value>,
  copyOf: (value: Value) => Value = (value) => value,
): () => void {
  const before = [...map].map(([key, value]) => [key, copyOf(value)] as const);
  return () => {
    map.clear();
    for (const [key, value] of before) map.set(key, copyOf(value));
  };
}

export function rememberedSet<Value>(set: Set<Value>): () => void {
  const before = [...set];
  return () => {
    set.clear();
    for (const value of before) set.add(value);
  };
}
