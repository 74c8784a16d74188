import { treeAt, valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { defaultMultiClusterApi } from "../../api/multicluster/index.ts";
import { componentLabels, object, revisioned, usesTrustBundle } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { istioGroups, multiClusterRules, readerAccount, readerRules } from "./reader-account.ts";
import { grant, observe, read, type PolicyRule } from "./roles.ts";

export function pilotAccount(settings: InstallSettings, labels: Record<string, string>): UntypedObject[] {
  const { namespace, values } = settings;
  const annotations = treeAt(values, "pilot", "serviceAccountAnnotations") as Record<string, string>;
  return [
    object(
      {
        apiVersion: "v1",
        kind: "ServiceAccount",
        name: revisioned("istiod", settings),
        namespace,
        labels: { ...labels, app: "istiod" },
        annotations,
      },
      {},
    ),
    ...readerGrant(settings),
  ];
}

/**
 * The rights of other clusters' control planes to read this cluster, for the account that {@link readerAccount}
 * returns.
 */
function readerGrant(settings: InstallSettings): UntypedObject[] {
  const { namespace } = settings;
  const account = readerAccount(settings);
  if (account === undefined) return [];
  return grant({
    name: `istio-reader-clusterrole-${settings.revision === "" ? "" : `${settings.revision}-`}${namespace}`,
    labels: {
      ...componentLabels("Pilot", settings, "revision"),
      "app.kubernetes.io/name": "istio-reader",
      app: "istio-reader",
    },
    serviceAccount: { name: account.name, namespace: account.namespace },
    rules: readerRules(multiClusterGroupOf(settings)),
  });
}

function multiClusterGroupOf({ values, multiClusterGroup }: InstallSettings): string {
  const configuredGroup = treeAt(values, "pilot", "env")?.["MCS_API_GROUP"] as string | undefined;
  return multiClusterGroup ?? configuredGroup ?? defaultMultiClusterApi.group;
}

/** The rights to distribute the mesh's root by a ClusterTrustBundle. */
export const trustBundleRules = [
  { apiGroups: ["certificates.k8s.io"], resources: ["clustertrustbundles"], verbs: [...observe, "create", "patch"] },
  {
    apiGroups: ["certificates.k8s.io"],
    resources: ["signers"],
    resourceNames: ["istio.io/istiod-ca"],
    verbs: ["attest"],
  },
];

/** Whether the control plane removes a taint from nodes whose CNI agent is ready. */
export function removesTaint({ values }: InstallSettings): boolean {
  return valueAt(values, "pilot", "taint", "enabled") === true;
}

/** The verbs with which the Gateway controller manages objects whose names it knows. */
const keep = ["get", "create", "patch", "delete"] as const;

export interface PilotRules {
  readonly cluster: readonly PolicyRule[];
  /** The rights of the Gateway controller, in all namespaces. */
  readonly gateways: readonly PolicyRule[];
  /** The rights in the control plane's own namespace. */
  readonly namespace: readonly PolicyRule[];
}

export function pilotRules(settings: InstallSettings): PilotRules {
  return {
    cluster: [
      {
        apiGroups: [""],
        resources: ["namespaces", "nodes", "services", "configmaps", "secrets", "serviceaccounts"],
        verbs: observe,
      },
      { apiGroups: [""], resources: ["pods"], verbs: read },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: observe },
      { apiGroups: [...istioGroups, "gateway.networking.k8s.io"], resources: ["*"], verbs: read },
      // The control plane writes only the status of these objects, never the spec.
      { apiGroups: [...istioGroups, "gateway.networking.k8s.io"], resources: ["*/status"], verbs: ["patch"] },
      {
        apiGroups: ["networking.istio.io"],
        resources: ["workloadentries"],
        verbs: ["create", "patch", "delete"],
      },
      { apiGroups: ["gateway.networking.k8s.io"], resources: ["gatewayclasses"], verbs: ["create"] },
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: read },
      { apiGroups: ["networking.k8s.io"], resources: ["ingressclasses"], verbs: observe },
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses/status"], verbs: ["patch"] },
      {
        apiGroups: ["admissionregistration.k8s.io"],
        resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs: [...observe, "patch"],
      },
      { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
      { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["create", "patch", "delete"] },
      { apiGroups: [""], resources: ["services/status"], verbs: ["patch"] },
      ...(removesTaint(settings) ? [{ apiGroups: [""], resources: ["nodes"], verbs: ["patch"] }] : []),
      ...multiClusterRules(multiClusterGroupOf(settings)),
      ...(usesTrustBundle(treeAt(settings.values, "pilot")) ? trustBundleRules : []),
    ],
    gateways: [
      { apiGroups: ["apps"], resources: ["deployments"], verbs: [...observe, ...keep] },
      { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: keep },
      { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: keep },
      { apiGroups: [""], resources: ["services", "serviceaccounts"], verbs: keep },
    ],
    namespace: [
      { apiGroups: ["networking.istio.io"], resources: ["gateways"], verbs: ["create"] },
      { apiGroups: [""], resources: ["secrets"], verbs: ["create", "get", "watch", "list", "update", "delete"] },
      { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "update", "create"] },
    ],
  };
}

export function pilotGrants(settings: InstallSettings, labels: Record<string, string>): UntypedObject[] {
  const { namespace } = settings;
  const name = revisioned("istiod", settings);
  const serviceAccount = { name, namespace };
  const suffix = `${settings.revision === "" ? "" : `${settings.revision}-`}${namespace}`;
  const grants = { labels: { ...labels, app: "istiod" }, serviceAccount };
  const rules = pilotRules(settings);
  return [
    ...grant({ ...grants, name: `istiod-clusterrole-${suffix}`, rules: rules.cluster }),
    ...grant({ ...grants, name: `istiod-gateway-controller-${suffix}`, rules: rules.gateways }),
    ...grant({ ...grants, name, namespace, rules: rules.namespace }),
  ];
}
