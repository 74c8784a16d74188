import type { UntypedObject } from "../../api/index.ts";
import { istioAnnotations } from "../../api/istio/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { object } from "../render-context.ts";
import type { Grant } from "./roles.ts";

const nodeOfToken = "request.userInfo.extra['authentication.kubernetes.io/node-name']";
/** The annotations that the agent writes. */
const ownAnnotations = [istioAnnotations.ambientRedirection, ztunnelOwnerAnnotation];
const own = `[${ownAnnotations.map((name) => `'${name}'`).join(", ")}]`;

const validations = [
  {
    expression: `has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra && has(oldObject.spec.nodeName) && oldObject.spec.nodeName in ${nodeOfToken}`,
    message: "the CNI agent may change only pods of its own node",
    reason: "Forbidden",
  },
  {
    // The API server itself keeps the stored pod's spec and owners, but not its finalizers.
    expression: `${same("status")} && ${same("metadata.labels")} && ${same("metadata.finalizers")}`,
    message: "the CNI agent may change neither the status, the labels nor the finalizers of a pod",
    reason: "Forbidden",
  },
  {
    expression: [
      `(!has(object.metadata.annotations) || object.metadata.annotations.all(name, name in ${own} || (has(oldObject.metadata.annotations) && name in oldObject.metadata.annotations && object.metadata.annotations[name] == oldObject.metadata.annotations[name])))`,
      `(!has(oldObject.metadata.annotations) || oldObject.metadata.annotations.all(name, name in ${own} || (has(object.metadata.annotations) && name in object.metadata.annotations)))`,
    ].join(" && "),
    message: `the CNI agent may change only the annotations ${ownAnnotations.join(" and ")}`,
    reason: "Forbidden",
  },
];

function same(field: string): string {
  return `has(object.${field}) == has(oldObject.${field}) && (!has(object.${field}) || object.${field} == oldObject.${field})`;
}

/**
 * Limits the agent's permission to patch `pods/status` to what it writes. RBAC cannot do this: with the permission
 * alone, an attacker on one node could give any pod of the cluster other addresses, other labels, by which policies and
 * Services select it, and finalizers, which prevent its deletion.
 */
export function agentPolicy(labels: Grant["labels"], { name, namespace }: Grant["serviceAccount"]): UntypedObject[] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const policyName = "istio-cni-own-pods";
  const resourceRules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["pods/status"] }];
  const matchConditions = [
    { name: "agent", expression: `request.userInfo.username == 'system:serviceaccount:${namespace}:${name}'` },
  ];
  return [
    object(
      { apiVersion, kind: "ValidatingAdmissionPolicy", name: policyName, labels },
      { spec: { failurePolicy: "Fail", matchConstraints: { resourceRules }, matchConditions, validations } },
    ),
    object(
      { apiVersion, kind: "ValidatingAdmissionPolicyBinding", name: policyName, labels },
      { spec: { policyName, validationActions: ["Deny"] } },
    ),
  ];
}
