// Moves a mesh that was installed as the README says to another revision. Its ingress gateway, which the upgrade does
// not install, also moves, and the old revision is retired. The plan names the steps that the engine then takes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { PodLoad } from "../support/pod-load.ts";
import { untilLine } from "../support/until-line.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const apply = (yaml: string): string => `kubectl apply -f - <<'EOF'\n${yaml}\nEOF`;
const upgradeTimeoutMs = 600_000;

const apps = (labels: string): string => `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {${labels}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: k8s.gcr.io/echoserver:1.10
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: outside}
spec:
  containers: [{name: client, image: curlimages/curl, command: [/bin/sleep, infinity]}]`;

const meshClient = `apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  containers: [{name: client, image: curlimages/curl, command: [/bin/sleep, infinity]}]`;

/** A step of the ztunnels waits for so many new connections. The probes open ten a second. */
const connections = `  - {type: tcp-connect-failures, minSamples: 20}
`;

/** A step probes each pair of the matrix twice, as in `upgrade-proof`. One wrong answer fails the step. */
const upgrade = (profile: string): string => `apiVersion: rollout.serin.dev/v1alpha1
kind: MeshUpgrade
metadata: {name: to-1-18-1}
spec:
  from: {revision: default}
  to:
    revision: 1-18-1
    install:
    - profile: ${profile}
      revision: 1-18-1
      tag: 1.18.1
      components: {cni: {enabled: false}, ingressGateways: [{name: istio-ingressgateway, enabled: false}]}
  gateways: {weights: [50, 100]}
  checks:
  - {type: mtls-probe-matrix, minSamples: 2}
  - {type: request-success-rate, minSamples: 10}
${profile === "ambient" ? connections : ""}  settleTimeoutSeconds: 600
`;

const gatewaySteps = (ids: readonly string[]): string[] => ids.filter((id) => id.startsWith("gateway/"));

function installedGateway(kubectl: Kubectl, profile: string, labels: string): void {
  const guide = new Walkthrough(`readme-${profile}`, kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const loads: PodLoad[] = [];
  let planned: string[] = [];

  const allMore = async (count: number): Promise<void> =>
    void (await Promise.all(loads.map(async (load) => await load.more(count))));

  const prepare = async (): Promise<void> => {
    const created = await guide.lab.createOneNode();
    assert.equal(created.code, 0, created.output);
    await ok(`${guide.lab.serin} install --set profile=${profile} -y`);
    await ok(apply(apps(labels)));
    if (profile === "ambient") await ok(apply(meshClient));
    for (const namespace of ["shop", "outside"])
      await ok(`kubectl wait -n ${namespace} --for=condition=Ready pods --all --timeout=110s`);
    const url = "http://istio-ingressgateway.istio-system";
    await guide.comes(
      "the gateway answers",
      `kubectl exec -n outside client -- curl -sS --fail-with-body -m 2 ${url}`,
      /Hostname|GET/i,
    );
    const client = { workload: "pod/client", container: "client" };
    loads.push(new PodLoad(guide.lab, { ...client, namespace: "outside", urls: [url] }));
    if (profile === "ambient")
      loads.push(new PodLoad(guide.lab, { ...client, namespace: "shop", urls: ["http://web"] }));
    await allMore(20);
  };
  before(guide.step("a mesh, an application and its load", prepare));
  after(async () => {
    await Promise.all(loads.map(async (load) => await load.stop()));
    await guide.lab.delete();
  });

  step("the plan names every step of the gateway, and reports nothing that stays behind", async () => {
    const { code, output } = await guide.lab.run([guide.lab.serin, "upgrade", "plan", "-f", "-", "--json"], {
      input: upgrade(profile),
    });
    assert.equal(code, 0, output);
    const plan = JSON.parse(output.slice(output.indexOf("{"))) as {
      readonly steps: readonly { readonly id: string }[];
      readonly findings: readonly { readonly message: string }[];
    };
    planned = gatewaySteps(plan.steps.map(({ id }) => id));
    assert.deepEqual(planned.map((id) => id.replace("gateway/istio-system/istio-ingressgateway/", "")).slice(-2), [
      "own",
      "done",
    ]);
    assert.deepEqual(
      plan.findings.filter(({ message }) => message.startsWith("no step moves")),
      [],
    );
  });

  const statusText = '{.status.phase}: {.status.message}{"\\n"}';
  step("the mesh moves to the end with the gateway, no request fails, and the old revision is retired", async () => {
    await ok(apply(upgrade(profile)));
    await untilLine(
      guide.lab,
      {
        condition: "the upgrade has ended",
        command: ["kubectl", "get", "meshupgrade", "to-1-18-1", "-o", `jsonpath=${statusText}`],
        timeoutMs: upgradeTimeoutMs,
      },
      (line) => /^(Completed|Stuck|RolledBack):/.test(line),
    );
    const { status: found } = JSON.parse(await ok("kubectl get meshupgrade to-1-18-1 -o json")) as {
      readonly status: { phase: string; message: string; completedSteps: { id: string }[] };
    };
    assert.equal(found.phase, "Completed", found.message);
    assert.deepEqual(gatewaySteps(found.completedSteps.map(({ id }) => id)), planned);
    await allMore(20);
    for (const { failures, requests } of loads) assert.deepEqual(failures, [], `of ${requests} requests`);
    const left = await ok(
      "kubectl get deployments,daemonsets,services,serviceaccounts,roles,rolebindings,hpa,pdb -n istio-system -l istio.io/rev=default,operator.istio.io/component!=Cni -o name",
    );
    assert.doesNotMatch(left, /istio-ingressgateway|istiod$|ztunnel$/m);
    assert.match(
      await ok("kubectl get pods -n istio-system -l istio=ingressgateway -o jsonpath='{.items[*].metadata.labels}'"),
      /"istio.io\/rev":"1-18-1"/,
    );
  });
}

const [kubectl] = kubectls().slice(-1);
const data = { ambient: "istio.io/dataplane-mode: ambient", default: "istio-injection: enabled" };
if (kubectl !== undefined)
  for (const [profile, labels] of Object.entries(data))
    describe(
      `profile ${profile} as the README installs it, by kubectl ${kubectlVersion(kubectl)}`,
      { concurrency: 1 },
      () => installedGateway(kubectl, profile, labels),
    );
