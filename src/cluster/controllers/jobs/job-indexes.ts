import type { Pod } from "../../../api/kubernetes/index.ts";

export const completionIndexAnnotation = "batch.kubernetes.io/job-completion-index";

export function indexOf(pod: Pod): number | undefined {
  const index = pod.metadata.annotations?.[completionIndexAnnotation];
  return index === undefined ? undefined : Number(index);
}

/** The completion indexes of the pods, each once, in order. Leaves out indexes beyond the Job's completions. */
export function indexesOf(pods: readonly Pod[], completions: number): number[] {
  return sorted(pods.flatMap((pod) => indexOf(pod) ?? []).filter((index) => index < completions));
}

export function unite(some: readonly number[], others: readonly number[]): number[] {
  return sorted([...some, ...others]);
}

/** Formats indexes as `0-2,5,6`. Three or more consecutive indexes become a range. */
export function formatIndexes(indexes: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < indexes.length;) {
    let end = start;
    while (indexes[end + 1] === (indexes[end] ?? 0) + 1) end += 1;
    if (end - start > 1) parts.push(`${indexes[start]}-${indexes[end]}`);
    else parts.push(...indexes.slice(start, end + 1).map(String));
    start = end + 1;
  }
  return parts.join(",");
}

/**
 * The maximum number of indexes that are read from a status. Kubernetes allows this many pods at a time. Without it,
 * the status of a Job with two thousand million completions could name more indexes than fit into memory.
 */
const maxIndexes = 100_000;

/** The indexes below the Job's completions, up to a limit. Parts that cannot be read are left out. */
export function parseIndexes(text: string, completions: number): number[] {
  const found: number[] = [];
  for (const { first, last } of parseRanges(text, completions))
    for (let index = first; index <= last && found.length < maxIndexes; index += 1) found.push(index);
  return sorted(found);
}

/** A range of indexes. It includes both ends. */
interface IndexRange {
  readonly first: number;
  readonly last: number;
}

/** The ranges of a list such as `0-2,5`, below the Job's completions. */
export function parseRanges(text: string, completions: number): readonly IndexRange[] {
  return text.split(",").flatMap((part) => {
    const [, first = "", last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const range = { first: Number(first), last: Math.min(Number(last), completions - 1) };
    return first === "" || range.last < range.first ? [] : [range];
  });
}

function sorted(indexes: readonly number[]): number[] {
  return [...new Set(indexes)].sort((a, b) => a - b);
}
