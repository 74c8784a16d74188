import type { UntypedObject } from "../../api/index.ts";
import type { InstallSettings } from "../settings.ts";
import { grant, manage, observe, type Grant, type PolicyRule } from "./roles.ts";

/**
 * The rights that every rollout needs. The engine uses SubjectAccessReviews to check the rights of a rollout's author.
 */
const common: readonly PolicyRule[] = [
  { apiGroups: ["rollout.serin.dev"], resources: ["canaries", "meshupgrades"], verbs: ["get", ...observe, "patch"] },
  { apiGroups: ["rollout.serin.dev"], resources: ["canaries/status", "meshupgrades/status"], verbs: ["update"] },
  { apiGroups: ["rollout.serin.dev"], resources: ["freezes"], verbs: observe },
  { apiGroups: ["rollout.serin.dev"], resources: ["checks"], verbs: ["get"] },
  { apiGroups: ["rollout.serin.dev"], resources: ["rolloutjournals"], verbs: ["get", "list", "create", "update"] },
  { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch", "list"] },
  { apiGroups: [""], resources: ["nodes"], verbs: ["get", "list", "patch"] },
  { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
  { apiGroups: ["networking.istio.io"], resources: ["workloadentries"], verbs: ["list"] },
];

/** The rights to manage the objects that a Canary writes. The engine also requires that the author has the right. */
const canaries: readonly PolicyRule[] = [
  {
    apiGroups: ["networking.istio.io"],
    resources: ["virtualservices", "destinationrules"],
    verbs: manage,
  },
  {
    apiGroups: ["gateway.networking.k8s.io"],
    resources: ["httproutes", "grpcroutes", "gateways", "referencegrants"],
    verbs: manage,
  },
  { apiGroups: ["apps"], resources: ["replicasets"], verbs: ["list"] },
];

/** The rights to manage the objects that a MeshUpgrade installs, restarts, probes and removes. */
const meshUpgrades: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["namespaces", "pods"], verbs: [...manage, "watch"] },
  { apiGroups: [""], resources: ["services", "serviceaccounts", "configmaps", "resourcequotas"], verbs: manage },
  { apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] },
  { apiGroups: ["gateway.networking.k8s.io"], resources: ["gatewayclasses"], verbs: ["list"] },
  // IstioOperators and Istios. Their operators would restore a removed control plane if these objects stayed unchanged.
  { apiGroups: ["install.istio.io"], resources: ["istiooperators"], verbs: ["get", "patch"] },
  { apiGroups: ["istio.banzaicloud.io"], resources: ["istios"], verbs: ["get", "create", "delete"] },
  { apiGroups: ["apps"], resources: ["deployments", "daemonsets", "statefulsets"], verbs: [...manage, "watch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: manage },
  { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: manage },
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: manage },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: [...manage, "watch"] },
  { apiGroups: ["security.istio.io"], resources: ["authorizationpolicies", "peerauthentications"], verbs: manage },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations"],
    verbs: [...manage, "watch"],
  },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["validatingwebhookconfigurations"],
    verbs: manage,
  },
  // The policy that limits the node agent, and the policies of the profile `stable`, which are removed with their
  // revision and restored by an undo.
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
    verbs: manage,
  },
  // The roles of a control plane contain rights that the engine lacks, such as reading Secrets.
  {
    apiGroups: ["rbac.authorization.k8s.io"],
    resources: ["clusterroles", "roles"],
    verbs: [...manage, "escalate", "bind"],
  },
  {
    apiGroups: ["rbac.authorization.k8s.io"],
    resources: ["clusterrolebindings", "rolebindings"],
    verbs: manage,
  },
];

/**
 * The verbs for Secrets in the engine's own namespace, and in the control plane's namespace, which contains the CA's
 * Secrets. The engine has no right to Secrets in other namespaces.
 */
const ownSecrets = ["get", "create", "update"] as const;
const rootSecrets = ["get", "create", "patch", "delete"] as const;

/** The rights of the engine's account. For a rollout, the engine uses only rights that its author has too. */
export function renderEngineRights(
  { namespace }: Pick<InstallSettings, "namespace">,
  labels: Readonly<Record<string, string>>,
  serviceAccount: Grant["serviceAccount"],
): UntypedObject[] {
  const name = "serin-rollout";
  return [
    ...grant({ name, labels, serviceAccount, rules: [...common, ...canaries, ...meshUpgrades] }),
    ...[...new Set([serviceAccount.namespace, namespace])].flatMap((place) => {
      const verbs = [
        ...(place === serviceAccount.namespace ? ownSecrets : []),
        ...(place === namespace ? rootSecrets : []),
      ];
      const rules = [{ apiGroups: [""], resources: ["secrets"], verbs: [...new Set(verbs)] }];
      return grant({ name, namespace: place, labels, serviceAccount, rules });
    }),
  ];
}
