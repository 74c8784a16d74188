import type { UntypedObject } from "../../api/index.ts";
import { istioAnnotations } from "../../api/istio/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { object } from "../render-context.ts";
import type { Grant } from "./roles.ts";

const nodeOfToken = "request.userInfo.extra['authentication.kubernetes.io/node-name']";
const ownAnnotations = [istioAnnotations.ambientRedirection, ztunnelOwnerAnnotation];
const own = `[${ownAnnotations.map((name) => `'${name}'`).join(", ")}]`;

const validations = [
  {
    expression: `has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra && has(oldObject.spec.nodeName) && oldObject.spec.nodeName in ${nodeOfToken}`,
    message: "the CNI agent may change only pods of its own node",
    reason: "Forbidden",
  },
  {
    // For this subresource, the API server ignores changes of the spec and the owners, but not of the finalizers.
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
 * Limits the agent's permission to patch `pods/status` to the agent's own annotations on pods of its own node. RBAC
 * cannot express this. With the permission alone, an attacker on one node could change the addresses, labels and
 * finalizers of any pod in the cluster.
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
