import type { UntypedObject } from "../../api/index.ts";
import type { InstallSettings } from "../settings.ts";
import { grant, read, readWrite, type Grant, type PolicyRule } from "./roles.ts";

/** What every rollout reads, and what decides whether its author may do the same. */
const common: readonly PolicyRule[] = [
  { apiGroups: ["rollout.serin.dev"], resources: ["canaries", "meshupgrades"], verbs: [...read, "update", "patch"] },
  {
    apiGroups: ["rollout.serin.dev"],
    resources: ["canaries/status", "meshupgrades/status"],
    verbs: ["update", "patch"],
  },
  { apiGroups: ["rollout.serin.dev"], resources: ["freezes", "checks"], verbs: read },
  { apiGroups: ["rollout.serin.dev"], resources: ["rolloutjournals"], verbs: readWrite },
  { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update", "patch"] },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
  { apiGroups: [""], resources: ["nodes"], verbs: ["get", "list", "watch", "patch"] },
  { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
  { apiGroups: ["networking.istio.io"], resources: ["workloadentries"], verbs: read },
];

/** What a Canary makes and changes, each in its author's name. */
const canaries: readonly PolicyRule[] = [
  {
    apiGroups: ["networking.istio.io"],
    resources: ["virtualservices", "destinationrules"],
    verbs: readWrite,
  },
  {
    apiGroups: ["gateway.networking.k8s.io"],
    resources: ["httproutes", "grpcroutes", "gateways", "referencegrants"],
    verbs: readWrite,
  },
  { apiGroups: ["apps"], resources: ["replicasets"], verbs: read },
];

/** What an upgrade of the mesh installs, restarts, probes and removes. Probes are pods with tokens of pilots' clients. */
const meshUpgrades: readonly PolicyRule[] = [
  {
    apiGroups: [""],
    resources: ["namespaces", "pods", "services", "serviceaccounts", "configmaps"],
    verbs: readWrite,
  },
  { apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] },
  { apiGroups: ["apps"], resources: ["deployments", "daemonsets", "statefulsets"], verbs: readWrite },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: readWrite },
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: readWrite },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: readWrite },
  { apiGroups: ["security.istio.io"], resources: ["authorizationpolicies", "peerauthentications"], verbs: readWrite },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    verbs: readWrite,
  },
  // A control plane's roles grant more than the engine has, such as reading Secrets.
  {
    apiGroups: ["rbac.authorization.k8s.io"],
    resources: ["clusterroles", "roles"],
    verbs: [...readWrite, "escalate", "bind"],
  },
  {
    apiGroups: ["rbac.authorization.k8s.io"],
    resources: ["clusterrolebindings", "rolebindings"],
    verbs: readWrite,
  },
];

/** No Secrets but those of the engine's own namespace and of the control plane's, which hold the CA's roots. */
const secrets: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "update", "patch", "delete"] },
];

/** The engine's account may do this, and each rollout what its author may do of it. */
export function renderEngineRights(
  { namespace }: Pick<InstallSettings, "namespace">,
  labels: Readonly<Record<string, string>>,
  serviceAccount: Grant["serviceAccount"],
): UntypedObject[] {
  const name = "serin-rollout";
  return [
    ...grant({ name, labels, serviceAccount, rules: [...common, ...canaries, ...meshUpgrades] }),
    ...[...new Set([serviceAccount.namespace, namespace])].flatMap((of) =>
      grant({ name, namespace: of, labels, serviceAccount, rules: secrets }),
    ),
  ];
}
