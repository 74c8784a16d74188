import type { SourceState } from "../../../api/dashboard/index.ts";

interface AllClear {
  readonly title: string;
  readonly icon: "good" | "unknown";
  readonly text: string;
}

/** The text in place of problems if none is known. It is good news only if all sources have reported. */
export function allClear(sources: readonly SourceState[]): AllClear {
  const silent = sources.filter(({ ok }) => !ok).map(({ name }) => name);
  return silent.length === 0
    ? {
        title: "Nothing needs attention",
        icon: "good",
        text: "No proxy rejects its configuration, no rollout waits for a person, and no namespace is failing.",
      }
    : {
        title: "No problem is known",
        icon: "unknown",
        text: `There may be problems that this list does not show, because a source does not report: ${silent.join(", ")}.`,
      };
}
