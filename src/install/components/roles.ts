import type { UntypedObject } from "../../api/index.ts";
import { object } from "../render-context.ts";

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

export interface Grant {
  readonly name: string;
  /** The namespace, if this is a Role. Without it, this is a ClusterRole. */
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: { readonly name: string; readonly namespace: string };
  readonly rules: readonly PolicyRule[];
}

/** A role with these rules, and its binding to one service account. */
export function grant({ name, namespace, labels, serviceAccount, rules }: Grant): UntypedObject[] {
  const prefix = namespace === undefined ? "Cluster" : "";
  const identity = {
    apiVersion: "rbac.authorization.k8s.io/v1",
    name,
    labels,
    ...(namespace === undefined ? {} : { namespace }),
  };
  return [
    object({ ...identity, kind: `${prefix}Role` }, { rules }),
    object(
      { ...identity, kind: `${prefix}RoleBinding` },
      {
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: `${prefix}Role`, name },
        subjects: [{ kind: "ServiceAccount", ...serviceAccount }],
      },
    ),
  ];
}

/**
 * The right to use OpenShift's SecurityContextConstraint `privileged`. Without it, OpenShift refuses the privileged
 * pods of a node's component.
 */
export function privilegedConstraints(
  component: string,
  labels: Grant["labels"],
  serviceAccount: Grant["serviceAccount"],
): UntypedObject[] {
  return grant({
    name: `${component}-context-constraints`,
    labels,
    serviceAccount,
    rules: [
      {
        apiGroups: ["security.openshift.io"],
        resources: ["securitycontextconstraints"],
        resourceNames: ["privileged"],
        verbs: ["use"],
      },
    ],
  });
}

export const read = ["get", "list", "watch"] as const;
export const observe = ["list", "watch"] as const;
/** The verbs for applying and removing objects. Server-side apply needs `patch`, and also `create` for a new object. */
export const manage = ["get", "list", "create", "patch", "delete"] as const;
