/** For each probe, gateway and waypoint of the pairs, the uids of its pods that have been ready and are not ending. */
export type ServingProbes = Readonly<Record<string, string>>;

export interface ProbePodFacts {
  readonly serving: ServingProbes;
  /** Which probe is deleted, or has a successor that starts, in words. */
  readonly absent?: string;
  /** How long the pod that became ready last has been ready. */
  readonly readyForMs: number;
}

/** How long nodes and proxies may take to learn of a successor's endpoint. Nobody waits for their acknowledgement. */
const learningMs = 5_000;

/**
 * Compares the probes' pods with those to which the counts belong. `absent`: why nothing can be judged now.
 * `areOthers`: the counts belong to pods that were replaced. A pod that crashes, or is no longer ready, is not
 * replaced: the mesh may be the cause.
 */
export function replacedProbes(
  pods: ProbePodFacts | undefined,
  counted: ServingProbes | undefined,
): { readonly absent?: string; readonly areOthers: boolean } {
  if (pods === undefined) return { areOthers: false };
  const { serving, absent, readyForMs } = pods;
  if (absent !== undefined) return { absent, areOthers: false };
  const replaced =
    counted === undefined
      ? []
      : Object.keys(serving)
          .filter((name) => serving[name] !== counted[name])
          .toSorted();
  if (replaced.length === 0) return { areOthers: false };
  if (readyForMs >= learningMs) return { areOthers: true };
  return { absent: `probe ${replaced.join(", ")} was replaced, and is ready since a moment`, areOthers: false };
}
