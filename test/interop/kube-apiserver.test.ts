// Kubernetes' own API server accepts all of Serin's objects, with real admission, validation and RBAC. helm and
// kustomize install them.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { Walkthrough } from "../support/walkthrough.ts";
import { emptyCluster, nothingIsLeft, useCharts } from "./charts.ts";
import "./kube-apiserver/comparison.ts";
import { buildRelease } from "./kube-apiserver/real-api-server.ts";

const samples = join(root, "samples");
const cache = join(root, ".cache");
/**
 * The validation webhook fails closed from the start. By default, a pilot changes the policy when it serves, and to
 * apply the manifest again would change it back, as in Istio.
 */
const closed = "--set values.base.validationFailurePolicy=Fail";
/** A high limit, as for kubectl's waits, because the machine may be busy. */
const servingTimeoutMs = 180_000;
const profiles = ["empty", "minimal", "default", "demo", "ambient", "preview", "remote", "stable"];

const [kubectl] = kubectls().slice(-1);

describe("a real API server", () => {
  assert.ok(kubectl);
  const release = buildRelease();
  const walkthrough = new Walkthrough("interop-kubernetes", kubectl, { releaseRoot: release.directory });
  const { lab } = walkthrough;
  const ok = walkthrough.ok.bind(walkthrough);
  const step = (title: string, body: () => Promise<void>): void => void test(title, walkthrough.step(title, body));

  before(async () => {
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
  });
  after(async () => {
    await lab.delete();
    release.remove();
  });

  step("is what answers", async () => {
    assert.match(await ok("kubectl version"), /Server Version: v1\.36\./);
  });

  for (const profile of profiles) {
    step(
      `accepts the profile ${profile}, with a revision and without, and a second installation changes nothing`,
      async () => {
        for (const revision of ["", "canary"]) {
          const selected = revision === "" ? "" : `--revision ${revision}`;
          await ok(`serin manifest generate --set profile=${profile} ${selected} ${closed} > manifest.yaml`);
          if (!readFileSync(join(lab.directory, "manifest.yaml"), "utf8").includes("kind:")) continue;
          await ok("kubectl apply -f manifest.yaml");
          // `kubectl diff` ends with 0 only if an apply would change nothing.
          await ok("kubectl diff -f manifest.yaml");
        }
        await ok("serin uninstall --purge -y");
        await nothingIsLeft(walkthrough);
      },
    );
  }

  step("grants all rights that the control plane, agents and proxies use", async () => {
    await ok(
      "serin install --set profile=ambient --set components.ingressGateways[0].name=istio-ingressgateway --set components.ingressGateways[0].enabled=true -y",
    );
    await ok("kubectl label namespace default istio-injection=enabled");
    await ok(
      `kubectl apply -f ${samples}/bookinfo/platform/kube/bookinfo.yaml -f ${samples}/bookinfo/networking/bookinfo-gateway.yaml -f ${samples}/curl/curl.yaml`,
    );
    await ok("kubectl create namespace amb");
    await ok(
      `kubectl apply -n amb -f ${samples}/helloworld/helloworld.yaml -f ${samples}/curl/curl.yaml && kubectl -n amb wait pod --all --for=condition=ready --timeout=300s`,
    );
    // Pods that run already are enrolled too.
    await ok(
      `kubectl label namespace amb istio.io/dataplane-mode=ambient istio.io/use-waypoint=waypoint && kubectl apply -f ${import.meta.dirname}/envoy/waypoint.yaml`,
    );
    await ok(
      "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 30 -subj /CN=a.example.com 2>&1",
    );
    for (const namespace of ["istio-system", "default"])
      await ok(
        `kubectl -n ${namespace} create secret generic cert --from-file=tls.key=key.pem --from-file=tls.crt=certificate.pem --from-file=ca.crt=certificate.pem`,
      );
    await ok(
      `kubectl apply -f ${import.meta.dirname}/envoy/gateways.yaml -f ${import.meta.dirname}/envoy/features.yaml`,
    );
    for (const namespace of ["default", "amb", "istio-system"])
      await ok(`kubectl -n ${namespace} wait pod --all --for=condition=ready --timeout=300s`);
    await ok("kubectl wait gateway/gwapi --for=condition=Programmed --timeout=300s");
    const gateway = await ok(
      "kubectl -n istio-system get service istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
    );
    await eventually(
      "the gateway serves",
      async () =>
        await walkthrough.shows(`curl -s -m 5 -o /dev/null -w '%{http_code}' http://${gateway}/productpage`, /^200$/),
      servingTimeoutMs,
    );
    await eventually(
      "the waypoint answers",
      async () =>
        await walkthrough.shows(
          "kubectl -n amb exec deploy/curl -- curl -si -m 5 http://helloworld:5000/hello",
          /x-waypoint: yes/,
        ),
      servingTimeoutMs,
    );
    const isBundled = (bundles: string): boolean =>
      bundles
        .trim()
        .split("\n")
        .every((bundle) => bundle.length > 100);
    const bundles =
      "kubectl get mutatingwebhookconfiguration,validatingwebhookconfiguration -l app -o jsonpath='{range .items[*].webhooks[*]}{.clientConfig.caBundle}{\"\\n\"}{end}'";
    await eventually("every webhook has an authority", async () => isBundled(await ok(bundles)), servingTimeoutMs);
    const forbidden =
      "for pod in $(kubectl -n $namespace get pods -o name); do kubectl -n $namespace logs --all-containers $pod; done | grep -i -E 'forbidden|cannot (get|list|watch|create|update|patch|delete)' || true";
    for (const namespace of ["istio-system", "serin-system", "default", "amb"])
      assert.equal(await ok(`namespace=${namespace}; ${forbidden}`), "", namespace);
  });

  step("refuses through the pilot's webhook the configuration that the mesh cannot serve", async () => {
    await walkthrough.fails(
      `kubectl apply -f - <<< '{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"bad"},"spec":{"hosts":["a"],"http":[{"route":[{"destination":{"host":"a"},"weight":-1}]}]}}'`,
      /weight/,
    );
  });

  step("answers the verbs of the command line", async () => {
    assert.match(await ok("serin version"), /control plane version/);
    assert.match(await ok("serin tag set prod --revision default"), /Revision tag "prod" created/);
    assert.match(await ok("serin tag list"), /prod +default/);
    await ok("serin tag remove prod -y");
    assert.match(await ok("serin proxy-status"), /productpage/);
    await lab.shell("serin analyze -A").then(({ output }) => assert.match(output, /validation issues|IST0|SERIN/));
    await ok("serin x precheck || true");
  });

  step("accepts every sample", async () => {
    const files = globSync("**/*.yaml", { cwd: samples })
      .map((name) => join(samples, name))
      // Leave out files for `serin install -f`, and those for operators that are not installed.
      .filter((file) => !/^kind: (IstioOperator|Istio|Kustomization)$/m.test(readFileSync(file, "utf8")));
    const namespaces = new Set(
      files.flatMap((file) =>
        [...readFileSync(file, "utf8").matchAll(/^ {2}namespace: (\S+)$/gm)].map(([, name]) => name ?? ""),
      ),
    );
    for (const name of namespaces) await lab.shell(`kubectl create namespace ${name}`);
    for (const file of files) await ok(`kubectl apply --dry-run=server -f ${file}`);
    await ok("kubectl delete namespace amb --wait");
    // A Gateway's Deployments are deleted with it.
    await ok("kubectl delete gateways.gateway.networking.k8s.io --all");
    await ok("serin uninstall --purge -y");
    await nothingIsLeft(walkthrough);
  });

  for (const major of ["3", "4"] as const)
    step(`helm ${major} installs, upgrades and uninstalls the charts`, async () => await useCharts(walkthrough, major));

  step("kustomize builds an overlay over the manifests, and its output works", async () => {
    const kustomize = join(cache, "interop/kustomize");
    assert.ok(existsSync(kustomize), "there is no .cache/interop/kustomize: scripts/fetch/kustomize.sh builds it");
    await emptyCluster(walkthrough);
    await ok(`mkdir -p base overlay && serin manifest generate --set profile=default ${closed} > base/serin.yaml`);
    writeFileSync(join(lab.directory, "base/kustomization.yaml"), "resources: [serin.yaml]\n");
    writeFileSync(join(lab.directory, "overlay/kustomization.yaml"), overlay);
    await ok(`${kustomize} build overlay > built.yaml`);
    await ok("kubectl apply -f built.yaml");
    await ok("kubectl diff -f built.yaml");
    await ok("kubectl -n istio-system rollout status deployment/istiod --timeout=300s");
    assert.equal(
      await ok(
        "kubectl -n istio-system get deployment istiod -o jsonpath='{.metadata.labels.team} {.spec.replicas} {.spec.template.spec.containers[0].env[?(@.name==\"SAMPLE\")].value}'",
      ),
      "mesh 2 yes",
    );
    await ok("serin uninstall --purge -y");
  });
});

const overlay = `resources: [../base]
labels: [{pairs: {team: mesh}}]
patches:
- target: {kind: HorizontalPodAutoscaler, name: istiod}
  patch: '[{"op": "replace", "path": "/spec/minReplicas", "value": 2}]'
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: istiod, namespace: istio-system}
    spec: {replicas: 2, template: {spec: {containers: [{name: discovery, env: [{name: SAMPLE, value: "yes"}]}]}}}
`;
