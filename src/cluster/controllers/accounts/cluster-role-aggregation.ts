import { jsonEqual } from "../../../base/index.ts";
import { matchesLabelSelector } from "../../../api/index.ts";
import { clusterRoleKind, type PolicyRule } from "../../../api/kubernetes/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";

/** Copies the rules of all selected roles into each ClusterRole with an aggregation rule. */
export function addClusterRoleAggregation(context: ControllerContext): void {
  const roles = context.view(clusterRoleKind);
  const queue = context.queue("clusterrole-aggregation", async (name) => {
    const role = roles.at(name);
    const selectors = role?.aggregationRule?.clusterRoleSelectors ?? [];
    if (role === undefined || selectors.length === 0) return;
    const rules: PolicyRule[] = [];
    const selected = roles
      .all()
      .filter(
        (other) =>
          other.metadata.name !== name &&
          selectors.some((selector) => matchesLabelSelector(selector, other.metadata.labels)),
      );
    for (const other of selected.sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1))) {
      for (const rule of other.rules ?? []) if (!rules.some((known) => jsonEqual(known, rule))) rules.push(rule);
    }
    if (jsonEqual(rules, role.rules ?? [])) return;
    roles.wrote(await context.client.patchMerge(clusterRoleKind, name, undefined, { rules }));
  });
  enqueueOn(roles, queue);
  // A change of any role may affect all aggregated roles, even by the removal of a label.
  roles.onChange(() => {
    for (const role of roles.all()) if (role.aggregationRule !== undefined) queue.add(role.metadata.name ?? "");
  });
}
