import { ownField } from "../../../base/index.ts";
import type { KindDefinition } from "../../../api/index.ts";
import { gatewayApiKinds } from "../../../api/gateway/index.ts";
import { istioGatewayKind, istioKinds } from "../../../api/istio/index.ts";
import {
  clusterRoleKind,
  configMapKind,
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  horizontalPodAutoscalerKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  networkPolicyKind,
  nodeKind,
  podDisruptionBudgetKind,
  podKind,
  secretKind,
  serviceAccountKind,
  serviceKind,
  statefulSetKind,
  validatingWebhookConfigurationKind,
} from "../../../api/kubernetes/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import { reference } from "../../plan/index.ts";

/**
 * The kinds with a definition that rollouts change or make. Istio's `Gateway` is left out, because `Gateway` in a
 * journal means the kind of the Gateway API.
 */
const definitions: readonly KindDefinition[] = [
  ...istioKinds.filter((kind) => kind !== (istioGatewayKind as KindDefinition)),
  ...gatewayApiKinds,
  clusterRoleKind,
  configMapKind,
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  horizontalPodAutoscalerKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  networkPolicyKind,
  nodeKind,
  podDisruptionBudgetKind,
  podKind,
  secretKind,
  serviceAccountKind,
  serviceKind,
  statefulSetKind,
  validatingWebhookConfigurationKind,
] as readonly KindDefinition[];

/** The API versions of the kinds without a definition in this project. */
const others: Readonly<Record<string, string>> = {
  ClusterRoleBinding: "rbac.authorization.k8s.io/v1",
  IstioOperator: "install.istio.io/v1alpha1",
  ResourceQuota: "v1",
  Role: "rbac.authorization.k8s.io/v1",
  RoleBinding: "rbac.authorization.k8s.io/v1",
  Rollout: "argoproj.io/v1alpha1",
  ValidatingAdmissionPolicy: "admissionregistration.k8s.io/v1",
  ValidatingAdmissionPolicyBinding: "admissionregistration.k8s.io/v1",
};

const versions: Readonly<Record<string, string>> = {
  ...others,
  ...Object.fromEntries(
    definitions.map(({ kind, group, versions: [version] }) => [kind, group === "" ? version : `${group}/${version}`]),
  ),
};

/** Parses a description such as `HTTPRoute shop/web`. Undefined for a kind that rollouts do not change. */
export function describedReference(name: string): ObjectReference | undefined {
  const [kind = "", place = ""] = name.split(" ");
  const [first = "", second] = place.split("/");
  const version = ownField(versions, kind);
  if (version === undefined || first === "") return undefined;
  return second === undefined ? reference(version, kind, first) : reference(version, kind, second, first);
}
