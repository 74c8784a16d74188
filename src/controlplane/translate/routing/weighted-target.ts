/** A cluster that receives all connections of a port, or a share of them. */
export interface WeightedTarget {
  readonly name: string;
  readonly weight: number;
}

/** The clusters to which a TCP proxy forwards connections. */
export function specifierOf(targets: readonly WeightedTarget[]) {
  const [only] = targets;
  if (targets.length === 1 && only !== undefined) return { case: "cluster" as const, value: only.name };
  return { case: "weightedClusters" as const, value: { clusters: targets.map((target) => ({ ...target })) } };
}
