// The meshes of the matrix that are upgraded in a lab. Together they have every installer, every kind of gateway, and
// every data plane that no other proof upgrades.
import assert from "node:assert/strict";
import { join } from "node:path";
import { root } from "../../../test/support/lab-cluster.ts";
import type { Walkthrough } from "../../../test/support/walkthrough.ts";
import {
  deploymentObject,
  edge,
  namespaceObject,
  newRevision,
  oldRevision,
  serviceObject,
  webTemplate,
  type LabMesh,
} from "./lab-mesh.ts";

const [oldTag, newTag] = [oldRevision, newRevision].map((revision) => revision.replaceAll("-", "."));
const helm = join(root, ".cache/helm/helm-3");
const ingress = { selector: "ingressgateway", url: "http://istio-ingressgateway.istio-system" };
const sidecar = { "istio-injection": "enabled" };
const withoutIngress = [{ name: "istio-ingressgateway", enabled: false }];
const withoutEgress = [{ name: "istio-egressgateway", enabled: false }];

const operator = (spec: object, name = "mesh"): string =>
  JSON.stringify({
    apiVersion: "install.istio.io/v1alpha1",
    kind: "IstioOperator",
    metadata: { name, namespace: "istio-system" },
    spec,
  });

/** Returns the IstioOperator spec of a profile's next revision. The old revision's gateways and CNI agent stay. */
const next = (profile: string, components: object = {}): object => ({
  profile,
  revision: newRevision,
  tag: newTag,
  components: { cni: { enabled: false }, ingressGateways: withoutIngress, ...components },
});

async function apply(guide: Walkthrough, objects: readonly object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  await guide.ok(`kubectl apply -f - <<'EOF'\n${list}\nEOF`);
}

const gatewayTemplate = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  metadata: {
    labels: { app: name, istio: name, ...labels },
    annotations: { "inject.istio.io/templates": "gateway" },
  },
  spec: { containers: [{ name: "istio-proxy", image: "auto" }] },
});

const demo: LabMesh = {
  name: "demo",
  title: "profile demo, with its two gateways, and sidecars by the label istio-injection",
  labels: sidecar,
  gateway: ingress,
  install: async (guide) => void (await guide.ok(`${guide.lab.serin} install --set profile=demo -y`)),
  specs: [next("demo", { egressGateways: withoutEgress })],
};

const minimal: LabMesh = {
  name: "minimal",
  title: "profile minimal from an IstioOperator file, with a gateway injected by hand, and sidecars by a tag",
  from: oldRevision,
  labels: { "istio.io/rev": "prod" },
  gateway: { selector: "front", url: `http://front.${edge}` },
  install: async (guide) => {
    await guide.ok(
      `${guide.lab.serin} install -y -f -`,
      operator({ profile: "minimal", revision: oldRevision, tag: oldTag }),
    );
    await guide.ok(`${guide.lab.serin} tag set prod --revision ${oldRevision} -y`);
    await apply(guide, [
      namespaceObject(edge, { "istio.io/rev": "prod" }),
      deploymentObject("front", edge, gatewayTemplate("front")),
      serviceObject("front", edge, 80),
    ]);
  },
  specs: [next("minimal")],
};

const helmSets = (revision: string, tag: string | undefined, profile: string): string =>
  `--set profile=${profile} --set revision=${revision} --set global.tag=${tag ?? ""}`;

async function helmInstall(guide: Walkthrough, release: string, chart: string, sets: string): Promise<void> {
  const place = chart === "gateway" ? edge : "istio-system";
  await guide.ok(
    `${helm} install ${release} $(ls charts/${chart}-[0-9]*.tgz) -n ${place} --create-namespace ${sets} --wait --timeout 200s`,
  );
}

const helmStable: LabMesh = {
  name: "helm",
  title:
    "helm charts: base, istiod with profile stable, and gateway; helm installs the new revision; sidecars by revision",
  from: oldRevision,
  labels: { "istio.io/rev": oldRevision },
  gateway: { selector: "front", url: `http://front.${edge}` },
  install: async (guide) => {
    await guide.run("charts", "package", join(guide.lab.directory, "charts"));
    await helmInstall(guide, "istio-base", "base", "");
    await helmInstall(guide, `istiod-${oldRevision}`, "istiod", helmSets(oldRevision, oldTag, "stable"));
    await apply(guide, [namespaceObject(edge, { "istio.io/rev": oldRevision })]);
    await helmInstall(guide, "front", "gateway", "--set service.type=ClusterIP --set replicaCount=2");
  },
  bring: async (guide) =>
    await helmInstall(guide, `istiod-${newRevision}`, "istiod", helmSets(newRevision, newTag, "stable")),
  // These are the commands of docs/helm.md, "Old releases of Helm".
  forget: async (guide) => {
    const policies = await guide.ok(
      "kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings -o name",
    );
    assert.deepEqual(
      policies.split("\n").filter((name) => name.includes(`-${oldRevision}-`)),
      [],
    );
    await guide.ok(`${helm} uninstall istiod-${oldRevision} -n istio-system`);
    await guide.ok(
      `${helm} upgrade istio-base $(ls charts/base-[0-9]*.tgz) -n istio-system --set defaultRevision=${newRevision}`,
    );
    const validator = "validatingwebhookconfiguration/istiod-default-validator";
    await guide.ok(
      `kubectl wait ${validator} --for=jsonpath='{.webhooks[0].clientConfig.service.name}'=istiod-${newRevision} --timeout=10s`,
    );
  },
};

const twoNetworks = { global: { network: "network1" }, pilot: { env: { AMBIENT_ENABLE_MULTI_NETWORK: "true" } } };

const terminatesMutual = { mode: "Terminate", options: { "gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL" } };

const eastWest: LabMesh = {
  name: "east-west",
  title: "profile ambient with its gateway and an east-west gateway of the Gateway API; no pod has a sidecar",
  labels: { "istio.io/dataplane-mode": "ambient" },
  gateway: ingress,
  install: async (guide) => {
    await guide.ok(`${guide.lab.serin} install -y -f -`, operator({ profile: "ambient", values: twoNetworks }));
    await apply(guide, [
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        metadata: {
          name: "eastwest",
          namespace: "istio-system",
          labels: { "topology.istio.io/network": "network1" },
        },
        spec: {
          gatewayClassName: "istio-east-west",
          listeners: [{ name: "mesh", port: 15008, protocol: "HBONE", tls: terminatesMutual }],
        },
      },
    ]);
    await guide.ok("kubectl wait -n istio-system --for=condition=Programmed gateway/eastwest --timeout=110s");
  },
  specs: [{ ...next("ambient"), values: twoNetworks }],
  // No other network sends requests to the east-west gateway.
  judgedByProbes: true,
};

const operatorPreview: LabMesh = {
  name: "operator",
  title:
    "Istio's operator installs both revisions of profile preview; a gateway, and no pod with a sidecar or a ztunnel",
  from: oldRevision,
  labels: {},
  gateway: { selector: "front", url: `http://front.${edge}` },
  install: async (guide) => {
    await guide.ok(`${guide.lab.serin} operator init`);
    await operatorInstalls(guide, { profile: "preview", revision: oldRevision, tag: oldTag });
    await frontGateway(guide);
  },
  bring: async (guide) => await operatorInstalls(guide, { profile: "preview", revision: newRevision, tag: newTag }),
  undoneAtTheEnd: true,
};

const operatorAmbient: LabMesh = {
  name: "operator-ambient",
  title: "Istio's operator installs both revisions of profile ambient, and restores the old one in the undo; a gateway",
  from: oldRevision,
  labels: { "istio.io/dataplane-mode": "ambient" },
  gateway: { selector: "front", url: `http://front.${edge}` },
  install: async (guide) => {
    await guide.ok(`${guide.lab.serin} operator init`);
    await operatorInstalls(guide, { profile: "ambient", revision: oldRevision, tag: oldTag });
    await guide.ok(`kubectl rollout status -n istio-system daemonset/ztunnel-${oldRevision} --timeout=110s`);
    await frontGateway(guide);
  },
  bring: async (guide) =>
    await operatorInstalls(guide, {
      profile: "ambient",
      revision: newRevision,
      tag: newTag,
      components: { cni: { enabled: false } },
    }),
  undoneAtTheEnd: true,
};

async function frontGateway(guide: Walkthrough): Promise<void> {
  await apply(guide, [
    namespaceObject(edge, { "istio.io/rev": oldRevision }),
    deploymentObject("front", edge, gatewayTemplate("front")),
    serviceObject("front", edge, 80),
  ]);
}

interface OperatorSpec {
  readonly profile: string;
  readonly revision: string;
  readonly tag: string | undefined;
  readonly components?: object;
}

async function operatorInstalls(guide: Walkthrough, { components, ...given }: OperatorSpec): Promise<void> {
  const spec = { ...given, components: { ingressGateways: withoutIngress, ...components } };
  const { revision } = given;
  await guide.ok("kubectl create namespace istio-system --dry-run=client -o yaml | kubectl apply -f -");
  await guide.ok("kubectl apply -f -", operator(spec, `mesh-${revision}`));
  await guide.ok(
    `for i in $(seq 1 60); do kubectl get deployment -n istio-system istiod-${revision} && break; sleep 1; done; kubectl rollout status -n istio-system deployment/istiod-${revision} --timeout=110s`,
  );
}

const injectedByHand: LabMesh = {
  name: "kube-inject",
  title: "profile default, with sidecars by istio-injection, and one that kube-inject wrote into a Deployment",
  labels: sidecar,
  gateway: ingress,
  install: async (guide) => {
    await guide.ok(`${guide.lab.serin} install --set profile=default -y`);
    const objects = [deploymentObject("alone", edge, webTemplate("alone"), 1), serviceObject("alone", edge, 8080)];
    await apply(guide, [namespaceObject(edge)]);
    await guide.ok(
      `${guide.lab.serin} kube-inject -f - | kubectl apply -f -`,
      JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
    );
  },
  specs: [next("default")],
  alsoAsked: { path: "/alone", host: `alone.${edge}.svc.cluster.local` },
};

const banzaiRevision = (name: string): string => `${name}.istio-system`;

const banzai: LabMesh = {
  name: "banzai",
  title: "Banzai Cloud's operator installs Istio 1.6 and 1.7; sidecars, and a gateway that moves by its MeshGateway",
  from: banzaiRevision("istio-sample"),
  istiod: "istiod",
  to: banzaiRevision("istio-sample-v17x"),
  labels: sidecar,
  gateway: ingress,
  install: async (guide) => {
    const { serin } = guide.lab;
    await guide.ok(`${serin} release export ${guide.lab.directory}`);
    // The operator does not install the rollout engine.
    await guide.ok(`${serin} install --set profile=empty --set components.base.enabled=true -y`);
    await banzaiInstalls(guide, "1.6", "--set-string operator.image.tag=0.6.12 --set-string istioVersion=1.6");
    await guide.ok("kubectl rollout status -n istio-system deployment/istiod --timeout=110s");
    await guide.ok(
      "for i in $(seq 1 60); do kubectl get deployment -n istio-system istio-ingressgateway && break; sleep 1; done; kubectl rollout status -n istio-system deployment/istio-ingressgateway --timeout=110s",
    );
  },
  bring: async (guide) => {
    await banzaiInstalls(guide, "1.7", "--set-string operator.image.tag=0.7.12");
  },
  movedByHand: true,
  undoneAtTheEnd: true,
  moveBack: async (guide) => {
    const spec = JSON.stringify({ spec: { istioControlPlane: { name: "istio-sample", namespace: "istio-system" } } });
    await guide.ok(
      `kubectl -n istio-system patch meshgateways.istio.banzaicloud.io istio-ingressgateway --type=merge -p '${spec}'`,
    );
  },
};

async function banzaiInstalls(guide: Walkthrough, release: string, sets: string): Promise<void> {
  const name = `istio-operator-v${release.replace(".", "")}x`;
  const istiod = release === "1.6" ? "istiod" : "istiod-istio-sample-v17x";
  await guide.ok(
    `kubectl create namespace istio-system --dry-run=client -o yaml | kubectl apply -f - && ${guide.lab.serin} charts template ${name} istio-operator --namespace istio-system ${sets} | kubectl apply -n istio-system -f -`,
  );
  await guide.ok(
    `kubectl apply -n istio-system -f ${join(root, "samples/banzai", release, "istio_v1beta1_istio.yaml")}`,
  );
  await guide.ok(
    `for i in $(seq 1 60); do kubectl get deployment -n istio-system ${istiod} && break; sleep 1; done; kubectl rollout status -n istio-system deployment/${istiod} --timeout=110s`,
  );
}

export const labMeshes: readonly LabMesh[] = [
  demo,
  minimal,
  helmStable,
  eastWest,
  operatorPreview,
  operatorAmbient,
  injectedByHand,
  banzai,
];
