// Rights of the operators that the labs of seeds 003 and 004 do not need.
import { at, each, type RareRights } from "./rare-rights.ts";

const operator = "istio-operator";
/** The operators of two releases. Neither does all the work of the guide. */
const banzai = ["istio-operator-v16x", "istio-operator-v17x"];
const ofBanzai = (verbs: string, resources: string): string[] => banzai.flatMap((role) => each(role, verbs, resources));

const roles = "clusterroles.rbac.authorization.k8s.io roles.rbac.authorization.k8s.io";
const bindings = "clusterrolebindings.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io";
const webhooks =
  "mutatingwebhookconfigurations.admissionregistration.k8s.io validatingwebhookconfigurations.admissionregistration.k8s.io";
const policies =
  "validatingadmissionpolicies.admissionregistration.k8s.io validatingadmissionpolicybindings.admissionregistration.k8s.io";
const budgets = "horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy";
const grants = at("src/install/components/pilot-access.ts", "export function pilotGrants(");

const ofIstioOperator: readonly RareRights[] = [
  {
    // The lab's API server requires only `patch`, and a real one these too.
    feature: "server-side apply of what is not there, and of roles that grant more than the operator has",
    usedAt: [at("src/operator/installer.ts", "client.apply(kind, wanted, { fieldManager, force: true })"), grants],
    rights: [
      ...each(
        operator,
        "create",
        `namespaces customresourcedefinitions.apiextensions.k8s.io serviceaccounts configmaps services deployments.apps ${roles} ${bindings} ${budgets} ${webhooks}`,
      ),
      ...each(operator, "escalate bind", roles),
    ],
  },
  {
    feature: "a namespace that is not there",
    usedAt: [at("src/operator/installer.ts", "client.apply(namespaceKind")],
    rights: each(operator, "patch", "namespaces"),
  },
  {
    feature: "ztunnel, the CNI agent and their quota, a control plane in another cluster, and a pilot of several pods",
    usedAt: [
      at("src/install/components/ztunnel.ts", 'kind: "DaemonSet"'),
      at("src/install/components/remote-pilot.ts", 'kind: "EndpointSlice"'),
      at("src/install/workload-settings.ts", 'kind: "PodDisruptionBudget"'),
      at("src/operator/check-installation.ts", "client.get(installedKindOf(object)"),
      at("src/operator/uninstaller.ts", "client.delete(kind"),
    ],
    rights: [
      ...each(operator, "get create patch delete", "daemonsets.apps"),
      ...each(operator, "create patch delete", "endpointslices.discovery.k8s.io"),
      ...each(operator, "patch delete", "poddisruptionbudgets.policy"),
      ...each(operator, "create patch delete", `resourcequotas networkpolicies.networking.k8s.io ${policies}`),
      ...each(operator, "delete", "statefulsets.apps"),
    ],
  },
  {
    feature: "an installation of more than five seconds",
    usedAt: [at("src/operator/install-lock.ts", ".patchMerge(leaseKind")],
    rights: each(operator, "patch", "leases.coordination.k8s.io"),
  },
  {
    feature: "pods that do not start",
    usedAt: [
      at("src/operator/workload-obstacle.ts", "client.list(podKind"),
      at("src/kube/obstacles/refused-pods.ts", "client.list(eventKind"),
      at("src/kube/obstacles/pod-obstacle.ts", 'client.raw("GET", path)'),
    ],
    rights: [...each(operator, "list", "pods events"), ...each(operator, "get", "pods/log")],
  },
];

const planes = "src/operator/banzai/control-plane-reconciler.ts";
const gateways = "src/operator/banzai/gateway-reconciler.ts";

const ofBanzaiOperators: readonly RareRights[] = [
  {
    feature: "server-side apply of what is not there, and of roles that grant more than the operator has",
    usedAt: [at("src/operator/owned-objects.ts", "client.apply(installedKindOf(object)"), grants],
    rights: [
      ...ofBanzai(
        "create",
        `meshgateways.istio.banzaicloud.io customresourcedefinitions.apiextensions.k8s.io serviceaccounts configmaps services deployments.apps ${roles} ${bindings} ${budgets} ${webhooks}`,
      ),
      ...ofBanzai("escalate bind", roles),
    ],
  },
  {
    feature: "the first control plane of a cluster",
    usedAt: [at(planes, "client.apply(customResourceDefinitionKind")],
    rights: ofBanzai("patch", "customresourcedefinitions.apiextensions.k8s.io"),
  },
  {
    feature: "autoscalers and disruption budgets",
    usedAt: [at("src/install/workload-settings.ts", 'kind: "PodDisruptionBudget"')],
    rights: ofBanzai("patch", budgets),
  },
  {
    feature: "namespaces that join, and a control plane that is removed",
    usedAt: [
      at(planes, "client.patchMerge(namespaceKind"),
      at(planes, "client.list(kind, { labelSelector })"),
      at(planes, "client.delete(kind, found.name"),
    ],
    rights: [
      ...ofBanzai("patch", "namespaces"),
      ...ofBanzai(
        "list delete",
        "clusterroles.rbac.authorization.k8s.io clusterrolebindings.rbac.authorization.k8s.io",
      ),
      ...ofBanzai("delete", webhooks),
    ],
  },
  {
    feature: "gateways that a control plane lists or lists no more, and that move to another one",
    usedAt: [
      at(planes, "client.get(banzaiMeshGatewayKind"),
      at(planes, "client.delete(banzaiMeshGatewayKind"),
      at(gateways, "writeStatus(client, { kind: banzaiMeshGatewayKind"),
      at(gateways, "client.delete(deploymentKind"),
      at(gateways, "client.delete(replicaSetKind"),
    ],
    rights: [
      ...ofBanzai("get", "meshgateways.istio.banzaicloud.io"),
      ...ofBanzai("patch", "meshgateways/status.istio.banzaicloud.io"),
      ...ofBanzai("delete", "meshgateways.istio.banzaicloud.io deployments.apps replicasets.apps"),
      // A cluster may require these if an object gets an owner.
      ...ofBanzai("update", "istios/finalizers.istio.banzaicloud.io meshgateways/finalizers.istio.banzaicloud.io"),
    ],
  },
  {
    feature: "the mesh-wide policy of a control plane",
    usedAt: [
      at(planes, 'client.get(authenticationKind, "default"'),
      at(planes, "client.apply(authenticationKind"),
      at(planes, 'client.delete(authenticationKind, "default"'),
    ],
    rights: ofBanzai("get create patch delete", "peerauthentications.security.istio.io"),
  },
  {
    feature: "a RemoteIstio, a second operator, and settings without effect",
    usedAt: [
      at("src/operator/banzai/remote-istios.ts", ".patchMerge("),
      at("src/kube/event-recorder.ts", "client.create(eventKind"),
      at("src/kube/event-recorder.ts", "client.patchMerge(eventKind"),
    ],
    rights: [...ofBanzai("patch", "remoteistios/status.istio.banzaicloud.io"), ...ofBanzai("create patch", "events")],
  },
  {
    feature: "somebody reads the metrics by the proxy",
    usedAt: [
      at("src/operator/metrics-proxy.ts", "authentication.k8s.io/v1/tokenreviews"),
      at("src/operator/metrics-proxy.ts", "authorization.k8s.io/v1/subjectaccessreviews"),
    ],
    rights: ofBanzai("create", "tokenreviews.authentication.k8s.io subjectaccessreviews.authorization.k8s.io"),
  },
];

export const rarelyUsedOperatorRights: readonly RareRights[] = [...ofIstioOperator, ...ofBanzaiOperators];
