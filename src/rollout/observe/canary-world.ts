import { SerinError } from "../../base/index.ts";
import type { Canary, JournalEntry } from "../../api/serin/index.ts";
import { valueAt, type ObjectAccess } from "../act/object-access.ts";
import { routeOf, type CanaryWorld } from "../plan/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/** From what a canary's world is read. */
export interface CanarySources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
}

/** What a canary's plan is made from; what the rollout itself has changed is read from its journal. Throws a user error that names the field when the target is not there. */
export async function observeCanaryWorld({ objects }: CanarySources, canary: Canary, journal: readonly JournalEntry[]): Promise<CanaryWorld> {
  const route = routeOf(canary);
  const original = journal.find((entry) => entry.type === "field" && entry.pointer === "/spec/rules");
  const current = await objects.get(route);
  const rules = original?.type === "field" ? original.prior : valueAt(current, "/spec/rules");
  const rule = "httpRoute" in canary.spec.target ? canary.spec.target.httpRoute.rule : 0;
  if (!Array.isArray(rules) || rules.length <= rule) {
    const found = current === undefined ? "is not there" : `has no rule ${rule}`;
    throw new SerinError("user", "route-missing", `spec.target.httpRoute: HTTPRoute ${route.namespace ?? ""}/${route.name} ${found}`);
  }
  return { rules: rules as Record<string, unknown>[] };
}
