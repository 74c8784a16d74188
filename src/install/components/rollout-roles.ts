import type { UntypedObject } from "../../api/index.ts";
import { object } from "../render-context.ts";
import { read } from "./roles.ts";

const write = ["create", "update", "patch", "delete", "deletecollection"] as const;
/** The kinds that a team may use in its namespace. Upgrades, freezes and journals belong to the whole cluster. */
const resources = ["canaries", "checks"] as const;

/**
 * The rights that Kubernetes adds to its roles `view`, `edit` and `admin`. A Canary may do only what its author may, so
 * these grant nothing beyond the Canary itself. Nobody gets the right to write statuses, because undo trusts them.
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
  // Kubernetes adds the rights of `edit` to `admin`.
  return [role("view", read), role("edit", write)];
}

/** Whether the role is one of {@link renderRolloutRoles}. */
export function isRolloutRole({ kind, metadata }: UntypedObject): boolean {
  return kind === "ClusterRole" && /^serin-rollout-(view|edit)$/.test(metadata.name ?? "");
}
