import type { EventRow } from "../../api/dashboard/index.ts";
import type { Event } from "../../api/kubernetes/index.ts";
import { timeMs } from "./mesh-objects.ts";

export const maxListedEvents = 100;

/** The rows of events, the newest first. Their objects are shown as `Kind name`. */
export function eventRows(events: readonly Event[], concerns: (event: Event) => boolean): Record<string, EventRow> {
  const rows = events
    .filter(concerns)
    .map(
      (event) =>
        [
          event.metadata.uid ?? `${event.metadata.namespace ?? ""}/${event.metadata.name ?? ""}`,
          eventRow(event),
        ] as const,
    );
  return Object.fromEntries(rows.toSorted(([, a], [, b]) => b.atMs - a.atMs).slice(0, maxListedEvents));
}

export function eventRow(event: Event): EventRow {
  const { involvedObject, type, reason = "", message = "", count = 1 } = event;
  return {
    atMs:
      timeMs(event.lastTimestamp) ??
      timeMs((event as { eventTime?: string }).eventTime) ??
      timeMs(event.firstTimestamp) ??
      timeMs(event.metadata.creationTimestamp) ??
      0,
    type: type === "Warning" ? "Warning" : "Normal",
    reason,
    message,
    count,
    object: titleOf(involvedObject),
  };
}

export function concerningEvents(
  events: readonly Event[],
  namespace: string,
  name: string,
  pods: ReadonlySet<string | undefined>,
): Record<string, EventRow> {
  return eventRows(events, ({ involvedObject }) => {
    if ((involvedObject.namespace ?? "") !== namespace) return false;
    if (involvedObject.kind === "Pod") return pods.has(involvedObject.name);
    return (
      involvedObject.name === name ||
      (involvedObject.kind === "ReplicaSet" && involvedObject.name?.startsWith(`${name}-`) === true)
    );
  });
}

function titleOf({ kind = "", namespace = "", name = "" }: Event["involvedObject"]): string {
  return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
}
