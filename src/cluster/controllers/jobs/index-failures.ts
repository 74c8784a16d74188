import type { Job, Pod } from "../../../api/kubernetes/index.ts";
import { indexOf, indexesOf, parseIndexes, unite } from "./job-indexes.ts";
import { judgeFailure } from "./pod-failure-policy.ts";

const countedAnnotation = "batch.kubernetes.io/job-index-failure-count";
const ignoredAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count";

/**
 * The number of times that an index failed before the present pod was created. It is stored in the pod's annotations,
 * because older pods may be deleted.
 */
interface Failures {
  readonly counted: number;
  readonly ignored: number;
}

/** Returns the indexes that have used up their `backoffLimitPerIndex`, or undefined for a Job without that limit. */
export function failedIndexesOf(job: Job, failed: readonly Pod[]): number[] | undefined {
  const limit = job.spec?.backoffLimitPerIndex;
  if (limit === undefined) return undefined;
  const completions = job.spec?.completions ?? 0;
  const over = failed.filter((pod) => {
    const { action } = judgeFailure(job, pod);
    return action === "FailIndex" || (action !== "Ignore" && failuresBefore(pod).counted >= limit);
  });
  return unite(parseIndexes(job.status?.failedIndexes ?? "", completions), indexesOf(over, completions));
}

/** For each index, the failed pod with the highest count of failures. Its successor continues that count. */
export function lastFailures(failed: readonly Pod[]): ReadonlyMap<number, Pod> {
  const last = new Map<number, Pod>();
  for (const pod of failed) {
    const index = indexOf(pod);
    if (index === undefined) continue;
    const known = last.get(index);
    if (known === undefined || totalOf(known) < totalOf(pod)) last.set(index, pod);
  }
  return last;
}

/** The number of failures of the pod's index, including the failure of the pod itself. */
export function totalOf(pod: Pod): number {
  const { counted, ignored } = failuresBefore(pod);
  return counted + ignored + 1;
}

/**
 * The annotations of a new pod that counts failures: of the successor of a failed pod, or of the first pod of its
 * index.
 */
export function failureAnnotations(job: Job, predecessor: Pod | undefined): Record<string, string> {
  const { counted, ignored } = failuresAfter(job, predecessor);
  return { [countedAnnotation]: String(counted), ...(ignored === 0 ? {} : { [ignoredAnnotation]: String(ignored) }) };
}

function failuresAfter(job: Job, pod: Pod | undefined): Failures {
  if (pod === undefined) return { counted: 0, ignored: 0 };
  const { counted, ignored } = failuresBefore(pod);
  const isIgnored = judgeFailure(job, pod).action === "Ignore";
  return isIgnored ? { counted, ignored: ignored + 1 } : { counted: counted + 1, ignored };
}

function failuresBefore({ metadata: { annotations } }: Pod): Failures {
  const read = (name: string): number => Number(annotations?.[name] ?? 0) || 0;
  return { counted: read(countedAnnotation), ignored: read(ignoredAnnotation) };
}
