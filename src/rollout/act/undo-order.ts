import type { JournalEntry } from "../../api/serin/index.ts";

/**
 * The entries in the order in which they are put back: backwards, and what is of one `undoGroup` together, in the place of the
 * group's latest entry, its restarts last, so that pods come back with what was there before.
 */
export function undoOrder(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  const groups = new Map<string, JournalEntry[]>();
  for (const [index, entry] of entries.toReversed().entries()) {
    const key = entry.undoGroup === undefined ? `alone ${index}` : `group ${entry.undoGroup}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return [...groups.values()].flatMap((group) => [
    ...group.filter((entry) => !isRestart(entry)),
    ...group.filter(isRestart),
  ]);
}

export function isRestart(entry: JournalEntry): boolean {
  return entry.type === "field" && entry.restart !== undefined;
}

const workloads = new Set(["Deployment", "DaemonSet", "StatefulSet"]);

/** A workload that undo makes again must run before what comes next may rely on it. */
export function isWorkload({ object: { kind } }: JournalEntry): boolean {
  return workloads.has(kind);
}

const routes = new Set(["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "VirtualService", "DestinationRule"]);

/** Says where requests go: proxies must have taken it over before what they went to is removed. */
export function movesTraffic({ object: { kind } }: JournalEntry): boolean {
  return routes.has(kind);
}

/** Its pods must run what was put back before requests go there again: a template that a user had changed, and the number of its pods. */
export function mustRun(entry: JournalEntry): boolean {
  return (
    entry.type === "field" &&
    entry.object.kind === "Deployment" &&
    (entry.pointer === "/spec/replicas" || (entry.adopted === true && entry.restart === "template"))
  );
}

/** A canary copy that was removed at the end: requests go there again once it runs. */
export function isCopy(entry: JournalEntry): boolean {
  return entry.type === "deleted" && entry.body.metadata.labels?.["rollout.serin.dev/copy"] !== undefined;
}

const choiceOfRevision = /\/metadata\/labels\/(istio\.io~1rev|serin\.dev~1ztunnel-rev|istio-injection)$/;

/** Whether putting it back relies on a control plane or a ztunnel that runs: pods would come back without one, or lose theirs. */
export function reliesOnMesh(entry: JournalEntry): boolean {
  if (isRestart(entry)) return true;
  if (entry.type === "created") return isWorkload(entry);
  return (
    entry.type === "field" &&
    (choiceOfRevision.test(entry.pointer) ||
      entry.object.kind === "MutatingWebhookConfiguration" ||
      entry.object.kind === "ValidatingWebhookConfiguration")
  );
}
