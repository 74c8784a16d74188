// Rights that the components' roles grant and that the tests' labs do not need, grouped by the work that needs them.

import { at, each, type RareRights } from "./rare-rights.ts";
import { rarelyUsedOperatorRights } from "./rarely-used-operator-rights.ts";

const engine = "serin-rollout";
const pilot = "istiod-clusterrole-istio-system";
const gateways = "istiod-gateway-controller-istio-system";
const access = "src/rollout/act/object-access.ts";
/** One function reads, creates, patches and removes all objects that the steps of a plan name. */
const bySteps = [
  at(access, "client.get(kindOf(this.#versions.served(object)"),
  at(access, "client.create(kindOf(served)"),
  at(access, 'client.raw("PATCH", path'),
  at(access, "client.delete(kindOf(this.#versions.served(object)"),
];
const lists = at("src/rollout/observe/mesh-world/retirable.ts", "client.list(kind, { labelSelector }");
const roles = "clusterroles.rbac.authorization.k8s.io roles.rbac.authorization.k8s.io";
const bindings = "clusterrolebindings.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io";
const webhooks =
  "mutatingwebhookconfigurations.admissionregistration.k8s.io validatingwebhookconfigurations.admissionregistration.k8s.io";
const policies =
  "validatingadmissionpolicies.admissionregistration.k8s.io validatingadmissionpolicybindings.admissionregistration.k8s.io";
const istioGroups = ["networking", "security", "telemetry", "extensions"].map((group) => `${group}.istio.io`);

const ofEngine: readonly RareRights[] = [
  {
    feature: "an upgrade of the mesh installs, moves and retires",
    usedAt: [...bySteps, lists],
    rights: [
      ...each(
        engine,
        "get list create patch delete",
        `serviceaccounts configmaps resourcequotas networkpolicies.networking.k8s.io endpointslices.discovery.k8s.io horizontalpodautoscalers.autoscaling gateways.gateway.networking.k8s.io ${roles} ${bindings}`,
      ),
      ...each(engine, "list create patch delete", "services"),
      ...each(
        engine,
        "get create patch delete",
        "namespaces pods deployments.apps daemonsets.apps statefulsets.apps poddisruptionbudgets.policy",
      ),
      ...each(engine, "create delete", webhooks),
      ...each(engine, "list", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
      ...each(engine, "get list create patch delete", policies),
      ...each(engine, "get list patch", "nodes"),
      ...each(engine, "get list create patch delete", "authorizationpolicies.security.istio.io"),
      ...each(engine, "get list create patch delete", "peerauthentications.security.istio.io"),
    ],
  },
  {
    feature: "why the kubelet cannot make a pod's sandbox or volumes",
    usedAt: [at("src/kube/obstacles/pod-creation.ts", "client.list(eventKind")],
    rights: each(engine, "list", "events"),
  },
  {
    feature: "roles of a new control plane grant more than the engine has",
    usedAt: [at("src/install/components/pilot-access.ts", "export function pilotGrants(")],
    rights: each(engine, "escalate bind", roles),
  },
  {
    feature: "what stands at a MeshUpgrade",
    usedAt: [
      at("src/rollout/engine/finalizer.ts", "client.patchMerge(kind, metadata.name"),
      at("src/rollout/engine/rollout-writer.ts", 'client.update(kind, body, { subresource: "status"'),
    ],
    rights: [
      ...each(engine, "get patch", "meshupgrades.rollout.serin.dev"),
      ...each(engine, "update", "meshupgrades/status.rollout.serin.dev"),
    ],
  },
  {
    feature: "an upgrade of the mesh moves Gateways of every class",
    usedAt: [at("src/rollout/observe/mesh-world/gateways.ts", "client.list(gatewayClassKind)")],
    rights: each(engine, "list", "gatewayclasses.gateway.networking.k8s.io"),
  },
  {
    feature: "an upgrade of the mesh retires a control plane that an operator brought",
    usedAt: bySteps,
    rights: [
      ...each(engine, "get patch", "istiooperators.install.istio.io"),
      ...each(engine, "get create delete", "istios.istio.banzaicloud.io"),
    ],
  },
  {
    feature: "machines of a revision that is retired",
    usedAt: [at("src/rollout/observe/dependents.ts", "client.list(workloadEntryKind")],
    rights: each(engine, "list", "workloadentries.networking.istio.io"),
  },
  {
    feature: "tokens of probes for a pilot",
    usedAt: [at("src/rollout/observe/pilot-tokens.ts", "client.raw(")],
    rights: each(engine, "create", "serviceaccounts/token"),
  },
  {
    feature: "the roots of the CA, and their change",
    usedAt: [
      at("src/rollout/observe/probes/probe-roots.ts", "client.get(secretKind, name, namespace"),
      ...bySteps.slice(1),
    ],
    rights: each(`${engine} of istio-system`, "get create patch delete", "secrets"),
  },
  {
    feature: "the webhook's certificate is renewed",
    usedAt: [at("src/rollout/admission/serving-certificate.ts", "client.update(secretKind")],
    rights: each(`${engine} of serin-system`, "update", "secrets"),
  },
  {
    feature: "Canaries of Deployments, VirtualServices, GRPCRoutes and other namespaces",
    usedAt: [
      ...bySteps,
      at("src/rollout/observe/canary-world/deployment-in-world.ts", "client.list(replicaSetKind"),
      at("src/rollout/observe/canary-world/missing-grants.ts", "client.list(referenceGrantKind"),
      at("src/rollout/observe/service-labels.ts", "client.list(destinationRuleKind"),
    ],
    rights: [
      ...each(engine, "get create patch delete", "virtualservices.networking.istio.io"),
      ...each(engine, "get create patch delete", "grpcroutes.gateway.networking.k8s.io"),
      ...each(engine, "get list create patch delete", "destinationrules.networking.istio.io"),
      ...each(engine, "get list create patch delete", "referencegrants.gateway.networking.k8s.io"),
      ...each(engine, "delete", "httproutes.gateway.networking.k8s.io"),
      ...each(engine, "list", "replicasets.apps"),
    ],
  },
  {
    feature: "checks by name, of logs, and repeated events",
    usedAt: [
      at("src/rollout/observe/checks/resolve-references.ts", "client.get(checkKind"),
      at("src/rollout/observe/pod-log.ts", "client.raw("),
      at("src/kube/event-recorder.ts", "client.patchMerge(eventKind"),
    ],
    rights: [
      ...each(engine, "get", "checks.rollout.serin.dev"),
      ...each(engine, "get", "pods/log"),
      ...each(engine, "patch", "events"),
    ],
  },
];

const ofPilot: readonly RareRights[] = [
  {
    feature: "what istiod says at objects of Istio and the Gateway API, and at Ingresses",
    usedAt: [
      at("src/controlplane/refused-status.ts", "client.get(kind, name, namespace"),
      at("src/controlplane/field-status/field-status-writer.ts", 'subresource: "status"'),
      at("src/controlplane/gateways/status-writer.ts", "client.get(ingressKind"),
    ],
    rights: [
      ...istioGroups.flatMap((group) => [`${pilot}: get *.${group}`, `${pilot}: patch */status.${group}`]),
      `${pilot}: get ingresses.networking.k8s.io`,
      `${pilot}: patch ingresses/status.networking.k8s.io`,
    ],
  },
  {
    feature: "machines that register themselves",
    usedAt: [
      at("src/controlplane/entries/workload-registration.ts", "client.get(podKind"),
      at("src/controlplane/entries/workload-registration.ts", "client.create("),
      at("src/controlplane/entries/workload-registration.ts", "client.patchMerge("),
      at("src/controlplane/entries/workload-registration.ts", "client.delete("),
    ],
    rights: [
      ...each(pilot, "create patch delete", "workloadentries.networking.istio.io"),
      ...each(pilot, "get", "pods"),
    ],
  },
  {
    feature: "waypoints at Services, and keys by SDS",
    usedAt: [
      at("src/controlplane/entries/ambient-status-writer.ts", 'subresource: "status"'),
      at("src/controlplane/ca/secret-access.ts", 'client.raw("POST", reviewPath'),
    ],
    rights: [
      ...each(pilot, "patch", "services/status"),
      ...each(pilot, "create", "subjectaccessreviews.authorization.k8s.io"),
    ],
  },
  {
    feature: "services that other clusters offer, and that are offered to them",
    usedAt: [
      at("src/controlplane/ingest/multi-cluster-feeds.ts", "create(exports, serviceExports"),
      at("src/controlplane/ingest/multi-cluster-feeds.ts", "create(imports, serviceImports"),
      at("src/controlplane/service-export-controller.ts", "writer.create(kind"),
    ],
    rights: [
      ...each(pilot, "list watch create", "serviceexports.multicluster.x-k8s.io"),
      ...each(pilot, "list watch", "serviceimports.multicluster.x-k8s.io"),
    ],
  },
  {
    feature: "a namespace without the CA's root, or one that needs it no more",
    usedAt: [
      at("src/controlplane/gateways/root-certificate-controller.ts", "client.apply("),
      at("src/controlplane/gateways/root-certificate-controller.ts", "client.delete(configMapKind"),
    ],
    rights: each(pilot, "create delete", "configmaps"),
  },
  {
    feature: "Gateways that get pods, and that go",
    usedAt: [
      at("src/controlplane/gateways/deployment-controller.ts", "client.get(kind, object.metadata.name"),
      at("src/controlplane/gateways/deployment-controller.ts", "client.apply(kind, object, apply"),
      at("src/controlplane/gateways/deployment-controller.ts", "client.delete(unwanted.kind"),
    ],
    rights: each(
      gateways,
      "get create patch delete",
      "deployments.apps horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy services serviceaccounts",
    ),
  },
  {
    feature: "the change of the CA's root",
    usedAt: [
      at("src/controlplane/ca/authority-secret.ts", "client.update(secretKind"),
      at("src/controlplane/ca/authority-secret.ts", "client.delete(secretKind"),
    ],
    rights: each("istiod of istio-system", "update delete", "secrets"),
  },
];

const ofNodesAndGateways: readonly RareRights[] = [
  {
    feature: "pods that start before the agent has seen them, and its removal",
    usedAt: [
      at("src/cni/cni-agent.ts", "client.get(podKind"),
      at("src/cni/cni-agent.ts", "client.get(namespaceKind"),
      at("src/cni/agent-end.ts", "client.get(daemonSetKind"),
    ],
    rights: [...each("istio-cni", "get", "pods namespaces"), ...each("istio-cni-ambient", "get", "daemonsets.apps")],
  },
  {
    feature: "a container runtime that does not call the agent's plugin",
    usedAt: [
      at("src/kube/event-recorder.ts", "client.create(eventKind"),
      at("src/kube/event-recorder.ts", "client.patchMerge(eventKind"),
    ],
    rights: each("istio-cni of istio-system", "create patch", "events"),
  },
];

export const rarelyUsedRights: readonly RareRights[] = [
  ...ofEngine,
  ...ofPilot,
  ...ofNodesAndGateways,
  ...rarelyUsedOperatorRights,
];
