/** A cluster that takes all of a port's connections, or a share. */
export interface WeightedTarget {
  readonly name: string;
  readonly weight: number;
}

/** Where a TCP proxy sends its connections. */
export function specifierOf(targets: readonly WeightedTarget[]) {
  const [only] = targets;
  if (targets.length === 1 && only !== undefined) return { case: "cluster" as const, value: only.name };
  return { case: "weightedClusters" as const, value: { clusters: targets.map((target) => ({ ...target })) } };
}
