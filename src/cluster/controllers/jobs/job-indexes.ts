import type { Pod } from "../../../api/kubernetes/index.ts";

export const completionIndexAnnotation = "batch.kubernetes.io/job-completion-index";

export function indexOf(pod: Pod): number | undefined {
  const index = pod.metadata.annotations?.[completionIndexAnnotation];
  return index === undefined ? undefined : Number(index);
}

/** The indexes of the pods below the Job's completions, each once, in order. */
export function indexesOf(pods: readonly Pod[], completions: number): number[] {
  return sorted(pods.flatMap((pod) => indexOf(pod) ?? []).filter((index) => index < completions));
}

export function unite(some: readonly number[], others: readonly number[]): number[] {
  return sorted([...some, ...others]);
}

/** `0-2,5,6`: three or more consecutive indexes are a range. */
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

/** The indexes below the Job's completions. Parts that cannot be read are left out. */
export function parseIndexes(text: string, completions: number): number[] {
  const found = text.split(",").flatMap((part) => {
    const [, first = "", last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === "") return [];
    const end = Math.min(Number(last), completions - 1);
    return Array.from({ length: Math.max(0, end - Number(first) + 1) }, (_, offset) => Number(first) + offset);
  });
  return sorted(found);
}

function sorted(indexes: readonly number[]): number[] {
  return [...new Set(indexes)].sort((a, b) => a - b);
}
