import { isMirrorPod } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { podReferences, type ReferencedKind } from "../record/pod-references.ts";
import type { Store } from "../store/index.ts";
import { nodeRules } from "./default-roles.ts";
import { ruleAllows, type Authorizer, type Decision, type PolicyRule } from "./rbac.ts";
import { nodeLeaseNamespace, nodeNameOf, type AccessAttributes, type User } from "./user.ts";

const allowed: Decision = { allowed: true, reason: "" };
const reads = ["get", "list", "watch"];
const leaseVerbs = ["get", "create", "update", "patch", "delete"];

const referencedResources: Readonly<Record<string, ReferencedKind>> = {
  "/configmaps": "configMap",
  "/persistentvolumeclaims": "persistentVolumeClaim",
  "/secrets": "secret",
};

/**
 * The Node authorizer: an identity `system:node:NAME` reads only the Secrets, ConfigMaps and claims to which the pods
 * of its node refer, one at a time, and gets tokens only for the accounts of these pods. For other resources, all nodes
 * have the same rights. Roles may grant further rights.
 */
export class NodeAuthorizer implements Authorizer {
  readonly #store: Store;
  readonly #roles: Authorizer;

  constructor(store: Store, roles: Authorizer) {
    this.#store = store;
    this.#roles = roles;
  }

  authorize(user: User, attributes: AccessAttributes): Decision {
    const node = nodeNameOf(user);
    if (node === undefined) return this.#roles.authorize(user, attributes);
    const fault = this.#fault(node, attributes);
    if (fault === undefined) return allowed;
    const byRole = this.#roles.authorize(user, attributes);
    return byRole.allowed ? byRole : { allowed: false, reason: fault };
  }

  rulesFor(user: User, namespace: string): readonly PolicyRule[] {
    return this.#roles.rulesFor(user, namespace);
  }

  /** Why this authorizer does not allow the request to the node. Returns undefined if it allows the request. */
  #fault(node: string, attributes: AccessAttributes): string | undefined {
    if (attributes.path === undefined) {
      const resource = `${attributes.group}/${attributes.resource}`;
      const kind = referencedResources[resource];
      if (kind !== undefined) return this.#readFault(node, kind, attributes);
      if (resource === "/serviceaccounts") return this.#tokenFault(node, attributes);
      if (resource === "coordination.k8s.io/leases") return leaseFault(node, attributes);
    }
    return nodeRules.some((rule) => ruleAllows(rule, attributes)) ? undefined : "";
  }

  #readFault(node: string, kind: ReferencedKind, attributes: AccessAttributes): string | undefined {
    const { verb, subresource, namespace, name } = attributes;
    if (!reads.includes(verb)) return "can only read resources of this type";
    if (subresource !== "") return "cannot read subresource";
    if (namespace === "") return "can only read namespaced object of this type";
    if (name === "") return "No Object name found";
    return this.#hasPod(node, namespace, (pod) => podReferences(pod)[kind].has(name)) ? undefined : unrelated(node);
  }

  #tokenFault(node: string, { verb, subresource, namespace, name }: AccessAttributes): string | undefined {
    if (verb !== "create" || name === "") return "can only create tokens for individual service accounts";
    if (subresource !== "token") return "can only create token subresource of serviceaccount";
    return this.#hasPod(node, namespace, ({ spec }) => spec?.serviceAccountName === name) ? undefined : unrelated(node);
  }

  /**
   * Whether a pod of the node passes the test. Ignores mirror pods: the node creates them itself, so they must not give
   * it rights.
   */
  #hasPod(node: string, namespace: string, test: (pod: Pod) => boolean): boolean {
    return this.#store
      .collection("/pods")
      .list(namespace)
      .some(({ object }) => {
        const pod = object as unknown as Pod;
        return pod.spec?.nodeName === node && !isMirrorPod(pod) && test(pod);
      });
  }
}

function unrelated(node: string): string {
  return `no relationship found between node '${node}' and this object`;
}

/**
 * Why the node may not use the Lease. The name of a new Lease is unknown at this stage, so NodeRestriction checks it
 * later.
 */
function leaseFault(node: string, { verb, namespace, name }: AccessAttributes): string | undefined {
  if (!leaseVerbs.includes(verb)) return "can only get, create, update, patch, or delete a node lease";
  return foreignLeaseFault(node, { namespace, name: verb === "create" ? node : name });
}

/** Why a Lease is not the node's own. Returns undefined if it is. */
export function foreignLeaseFault(
  node: string,
  lease: { readonly namespace: string; readonly name: string },
): string | undefined {
  if (lease.namespace !== nodeLeaseNamespace)
    return `can only access leases in the "${nodeLeaseNamespace}" system namespace`;
  return lease.name === node ? undefined : "can only access node lease with the same name as the requesting node";
}
