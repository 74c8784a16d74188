/** A pod that has been ready and is not ending. `readyAtMs` is absent while it is not ready. */
export interface ServingPod {
  readonly uid: string;
  /** The restarts of all its containers together. */
  readonly restarts: number;
  readonly readyAtMs?: number;
}

/** By the name of each probe, gateway and waypoint of the pairs: its pods, in the order of their uids. */
export type ServingProbes = Readonly<Record<string, readonly ServingPod[]>>;

export interface ProbePodFacts {
  readonly serving: ServingProbes;
  /**
   * Describes the probe that cannot answer because of its node. `isPause`: the probe runs but is not ready, which the
   * mesh may cause too.
   */
  readonly absent?: { readonly detail: string; readonly isPause: boolean };
  /** How long the pod that became ready last has been ready. */
  readonly readyForMs: number;
}

export interface CountedProbes {
  readonly serving: ServingProbes;
  /** How often counting began again because pods became ready again. */
  readonly returns: number;
}

export interface ProbeReplacement {
  /** Why the matrix cannot be judged now. */
  readonly absent?: string;
  /** The counts belong to pods that were replaced, or were not ready meanwhile, so counting begins again. */
  readonly beginsAgain: boolean;
  readonly counted?: CountedProbes;
}

/**
 * How long nodes and proxies may take to learn of an endpoint. The engine allows this time, because nothing reports
 * that they have learned of it.
 */
const learningMs = 5_000;
/**
 * How often counting may begin again, because a mesh that makes its pods unready from time to time must not postpone
 * the judgement for ever.
 */
const maxReturns = 3;

/**
 * Compares the probes' pods with those to which the counts belong. A pod that crashes, or is not ready for long, is
 * judged by what its clients count: the mesh may be the cause.
 */
export function replacedProbes(pods: ProbePodFacts | undefined, known: CountedProbes | undefined): ProbeReplacement {
  if (pods === undefined) return { beginsAgain: false, ...(known === undefined ? {} : { counted: known }) };
  const { serving, absent, readyForMs } = pods;
  const { returns } = known ?? { returns: 0 };
  if (absent !== undefined && (!absent.isPause || returns < maxReturns))
    return { absent: absent.detail, beginsAgain: false };
  if (known === undefined) return { beginsAgain: false, counted: { serving, returns } };
  const changes = Object.entries(serving)
    .map(([name, pods]) => ({ name, change: changeOf(known.serving[name], pods) }))
    .filter(({ change }) => change !== "none");
  const isReturn = changes.every(({ change }) => change === "ready again");
  if (changes.length === 0)
    return { beginsAgain: false, counted: { serving: rebased(known.serving, serving), returns } };
  if (isReturn && returns >= maxReturns) return { beginsAgain: false, counted: known };
  if (readyForMs < learningMs) {
    const names = changes.map(({ name }) => name).toSorted();
    return { absent: `probe ${names.join(", ")} has only just become ready`, beginsAgain: false };
  }
  return { beginsAgain: true, counted: { serving, returns: returns + (isReturn ? 1 : 0) } };
}

/**
 * The pods for the next comparison, if the counts are kept. They must include the restarts of a crash: otherwise every
 * later pause of the pod's kubelet would look like that crash. A pod that is not ready yet keeps its entry, because
 * otherwise the end of its crash would look like the end of a pause.
 */
function rebased(known: ServingProbes, serving: ServingProbes): ServingProbes {
  return Object.fromEntries(
    Object.entries(known).map(([name, before]) => {
      const now = serving[name] ?? before;
      return [name, now.every(({ readyAtMs }) => readyAtMs !== undefined) ? now : before];
    }),
  );
}

/**
 * How the pods of a probe have changed. A pod that is not ready at the moment counts as the same pod, because what its
 * clients count belongs to it. A pod that has crashed and is ready again counts as the same pod too, because its
 * failures must count.
 */
function changeOf(
  before: readonly ServingPod[] = [],
  now: readonly ServingPod[] = [],
): "none" | "ready again" | "replaced" {
  if (now.length !== before.length || now.some(({ uid }, index) => uid !== before[index]?.uid)) return "replaced";
  const again = now.some(
    ({ readyAtMs, restarts }, index) =>
      readyAtMs !== undefined &&
      readyAtMs !== before[index]?.readyAtMs &&
      // An earlier release wrote statuses without restarts.
      restarts === (before[index]?.restarts ?? restarts),
  );
  return again ? "ready again" : "none";
}
