import type { OverviewHead, SourceState } from "../../../api/dashboard/index.ts";

/** Why it is unknown in which state some or all proxies are. */
type ProxyReports = Pick<OverviewHead["proxies"], "unknown" | "incomplete">;

interface AllClear {
  readonly title: string;
  readonly icon: "good" | "unknown";
  readonly text: string;
}

/** What stands in place of problems if none is known. It is good news only if all sources and control planes report. */
export function allClear(sources: readonly SourceState[], { unknown, incomplete }: ProxyReports = {}): AllClear {
  const silent = sources.filter(({ ok }) => !ok).map(({ name }) => name);
  const proxies = unknown ?? incomplete;
  if (silent.length === 0 && proxies !== undefined)
    return {
      title: "No problem is known",
      icon: "unknown",
      text: `Proxies may reject their configuration without being listed here: ${proxies}.`,
    };
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
