import { stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import { fill, type Defaulters } from "./default-types.ts";

const rbacGroup = "rbac.authorization.k8s.io";

function webhook(value: JsonObject): void {
  fill(value, "failurePolicy", "Fail");
  fill(value, "matchPolicy", "Equivalent");
  fill(value, "namespaceSelector", {});
  fill(value, "objectSelector", {});
  fill(value, "timeoutSeconds", 10);
}

function matchResources(value: JsonObject): void {
  fill(value, "matchPolicy", "Equivalent");
  fill(value, "namespaceSelector", {});
  fill(value, "objectSelector", {});
}

function networkPolicy(value: JsonObject): void {
  const spec = value.spec;
  if (!isObject(spec) || arrayOf(spec.policyTypes).length > 0) return;
  spec.policyTypes = arrayOf(spec.egress).length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function roleRef(value: JsonObject): void {
  if (isObject(value.roleRef)) fill(value.roleRef, "apiGroup", rbacGroup);
}

function subject(value: JsonObject): void {
  if (value.kind === "User" || value.kind === "Group") fill(value, "apiGroup", rbacGroup);
}

const scaleUp = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};
const scaleDown = { selectPolicy: "Max", policies: [{ type: "Percent", value: 100, periodSeconds: 15 }] };

function horizontalPodAutoscaler(value: JsonObject): void {
  const spec = value.spec;
  if (!isObject(spec)) return;
  fill(spec, "minReplicas", 1);
  if (arrayOf(spec.metrics).length === 0) {
    spec.metrics = [
      { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
    ];
  }
  if (!isObject(spec.behavior)) return;
  spec.behavior.scaleUp = { ...structuredClone(scaleUp), ...objectOf(spec.behavior.scaleUp) };
  spec.behavior.scaleDown = { ...structuredClone(scaleDown), ...objectOf(spec.behavior.scaleDown) };
}

function csiDriver(value: JsonObject): void {
  const spec = value.spec;
  if (!isObject(spec)) return;
  fill(spec, "attachRequired", true);
  fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
  if (arrayOf(spec.volumeLifecycleModes).length === 0) spec.volumeLifecycleModes = ["Persistent"];
  for (const field of ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"]) spec[field] ??= false;
}

function customResourceDefinition(value: JsonObject): void {
  const spec = value.spec;
  if (!isObject(spec)) return;
  const names = isObject(spec.names) ? spec.names : {};
  const kind = stringOf(names.kind);
  fill(names, "singular", kind.toLowerCase());
  if (kind !== "") fill(names, "listKind", `${kind}List`);
  fill(spec, "conversion", { strategy: "None" });
  const status = isObject(value.status) ? value.status : {};
  value.status = status;
  if (arrayOf(status.storedVersions).length > 0) return;
  const stored = arrayOf(spec.versions).find((version) => objectOf(version).storage === true);
  status.storedVersions = stored === undefined ? [] : [objectOf(stored).name];
}

export const groupDefaulters: Defaulters = {
  "admissionregistration.v1.ValidatingWebhook": webhook,
  "admissionregistration.v1.MutatingWebhook": (value) => {
    webhook(value);
    fill(value, "reinvocationPolicy", "Never");
  },
  "admissionregistration.v1.RuleWithOperations": (value) => fill(value, "scope", "*"),
  "admissionregistration.v1.NamedRuleWithOperations": (value) => fill(value, "scope", "*"),
  "admissionregistration.v1.ServiceReference": (value) => fill(value, "port", 443),
  "admissionregistration.v1.ValidatingAdmissionPolicySpec": (value) => fill(value, "failurePolicy", "Fail"),
  "admissionregistration.v1.MutatingAdmissionPolicySpec": (value) => fill(value, "failurePolicy", "Fail"),
  "admissionregistration.v1.MatchResources": matchResources,
  "apiextensions.v1.CustomResourceDefinition": customResourceDefinition,
  "apiextensions.v1.ServiceReference": (value) => fill(value, "port", 443),
  "autoscaling.v1.HorizontalPodAutoscalerSpec": (value) => fill(value, "minReplicas", 1),
  "autoscaling.v2.HorizontalPodAutoscaler": horizontalPodAutoscaler,
  "discovery.v1.EndpointPort": (value) => {
    value.name ??= "";
    value.protocol ??= "TCP";
  },
  "networking.v1.NetworkPolicy": networkPolicy,
  "networking.v1.NetworkPolicyPort": (value) => fill(value, "protocol", "TCP"),
  "networking.v1.IngressClassParametersReference": (value) => fill(value, "scope", "Cluster"),
  "rbac.v1.ClusterRoleBinding": roleRef,
  "rbac.v1.RoleBinding": roleRef,
  "rbac.v1.Subject": subject,
  "scheduling.v1.PriorityClass": (value) => fill(value, "preemptionPolicy", "PreemptLowerPriority"),
  "storage.v1.StorageClass": (value) => {
    fill(value, "reclaimPolicy", "Delete");
    fill(value, "volumeBindingMode", "Immediate");
  },
  "storage.v1.CSIDriver": csiDriver,
};
