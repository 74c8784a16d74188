import type { UntypedObject } from "../../api/index.ts";
import { object } from "../render-context.ts";
import { read } from "./roles.ts";

const write = ["create", "update", "patch", "delete", "deletecollection"] as const;
/** The kinds that a team may use in its namespace. Other kinds of the rollout engine concern the whole cluster. */
const resources = ["canaries", "checks"] as const;

/**
 * The rights to add to Kubernetes' roles `view`, `edit` and `admin`. A Canary may do only what its author may do, so
 * they allow no more than before. They do not include writes of the status, because undo trusts it.
 */
export function renderRolloutRoles(labels: Readonly<Record<string, string>>): UntypedObject[] {
  const role = (name: string, verbs: readonly string[]): UntypedObject =>
    object(
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        name: `serin-rollout-${name}`,
        labels: { ...labels, [`rbac.authorization.k8s.io/aggregate-to-${name}`]: "true" },
      },
      { rules: [{ apiGroups: ["rollout.serin.dev"], resources, verbs }] },
    );
  // Kubernetes includes the rights of `edit` in `admin`.
  return [role("view", read), role("edit", write)];
}

export function isRolloutRole({ kind, metadata }: UntypedObject): boolean {
  return kind === "ClusterRole" && /^serin-rollout-(view|edit)$/.test(metadata.name ?? "");
}
