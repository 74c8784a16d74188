// A mesh with sidecars, ambient pods, a waypoint and a gateway moves to another revision under load: put back from the middle,
// moved to the end, and put back after the old revision has been retired. No request fails, and every field is as it was.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { PodLoad } from "../support/pod-load.ts";
import { untilTold } from "../support/until-told.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const apply = (yaml: string): string => `kubectl apply -f - <<'EOF'\n${yaml}\nEOF`;
const [oldRevision, newRevision] = ["1-0-0", "1-1-0"];
/** Where pods begin to run late, because the machine is busy, the upgrade only takes longer. */
const upgradeTimeoutMs = 900_000;

const operator = (spec: object): string =>
  JSON.stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
const revisionSpec = (revision: string): object => ({
  profile: "ambient",
  revision,
  tag: revision.replaceAll("-", "."),
  components: { cni: { enabled: false }, ingressGateways: [{ name: "istio-ingressgateway", enabled: false }] },
});

const server = (namespace: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${namespace}}
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
metadata: {name: web, namespace: ${namespace}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: ${namespace === "shop" ? "front" : namespace}, labels: {app: client}}
spec:
  containers: [{name: client, image: curlimages/curl, command: [/bin/sleep, infinity]}]`;

const apps = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: stock, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
---
apiVersion: v1
kind: Namespace
metadata: {name: front}
---
${server("shop")}
---
${server("stock")}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: stock, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: front}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{name: gateway, namespace: front}], rules: [{backendRefs: [{name: web, port: 80}]}]}`;

const upgrade = (name: string, waves: readonly object[]): string =>
  JSON.stringify({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: oldRevision },
      to: { revision: newRevision, install: [revisionSpec(newRevision)] },
      waves,
      ztunnel: { maxConcurrent: 2 },
      gateways: { weights: [50] },
      waypoints: { weights: [50] },
      checks: [
        { type: "mtls-probe-matrix", minSamples: 40 },
        { type: "request-success-rate", minSamples: 20 },
        { type: "tcp-connect-failures", minSamples: 20 },
      ],
      settleTimeoutSeconds: 600,
    },
  });

interface Found {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec?: unknown;
  readonly webhooks?: unknown;
}

/** What is not part of what somebody asked for: the certificates of webhooks, and what controllers note. */
function intended({ kind, metadata, spec, webhooks }: Found): readonly [string, unknown] {
  const { labels = {}, annotations = {} } = metadata;
  const own = Object.fromEntries(
    Object.entries(annotations).filter(([key]) => !/^(deployment\.kubernetes\.io|kubectl\.kubernetes\.io)\//.test(key)),
  );
  const text = JSON.stringify({ labels, own, spec, webhooks }, (key, value: unknown) =>
    key === "caBundle" || (key === "annotations" && JSON.stringify(value) === "{}") ? undefined : value,
  );
  return [`${kind} ${metadata.namespace ?? ""}/${metadata.name}`, JSON.parse(text)];
}

function meshUpgrade(kubectl: Kubectl): void {
  const guide = new Walkthrough("upgrade", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  let loads: PodLoad[] = [];
  let asBefore: ReadonlyMap<string, unknown> = new Map();

  const kinds =
    "namespaces,nodes,deployments,daemonsets,gateways.gateway.networking.k8s.io,mutatingwebhookconfigurations,validatingwebhookconfigurations,poddisruptionbudgets";
  const everything = async (): Promise<ReadonlyMap<string, unknown>> =>
    new Map((JSON.parse(await ok(`kubectl get ${kinds} -A -o json`)) as { items: Found[] }).items.map(intended));
  /** Waits for the phase as of the latest order, or fails at once when it ends otherwise. */
  const reaches = async (name: string, phase: string): Promise<void> => {
    const others = ["Completed", "RolledBack", "RollingBack", "Stuck"].filter(
      (end) => end !== phase && !(phase === "RolledBack" && end === "RollingBack"),
    );
    const fields = '{.metadata.generation} {.status.observedGeneration} {.status.phase}: {.status.message}{"\\n"}';
    await untilTold(
      guide.lab,
      {
        what: `${name} is ${phase}`,
        command: ["kubectl", "get", "meshupgrade", name, "-o", `jsonpath=${fields}`],
        timeoutMs: upgradeTimeoutMs,
      },
      (line) => {
        const [generation, observed, now = ""] = line.split(" ");
        if (generation !== observed) return false;
        assert.ok(!others.includes(now.slice(0, -1)), `${name}: ${line}`);
        return now === `${phase}:`;
      },
    );
  };
  const abort = async (name: string): Promise<void> =>
    void (await ok(`kubectl patch meshupgrade ${name} --type merge -p '{"spec":{"abort":true}}'`));
  const noneFailed = async (): Promise<void> => {
    for (const load of loads) await load.more(20);
    assert.deepEqual(
      loads.flatMap(({ failures }) => failures),
      [],
      `of ${loads.map(({ requests }) => requests).join(" and ")} requests`,
    );
  };
  const revisionsOf = async (namespace: string, annotation: string): Promise<string[]> => [
    ...new Set(
      (
        await ok(
          `kubectl get pods -n ${namespace} -l app=web -o jsonpath='{.items[*].metadata.annotations.${annotation}}'`,
        )
      )
        .trim()
        .split(" "),
    ),
  ];
  const isAsBefore = async (): Promise<void> => {
    const now = await everything();
    for (const [name, object] of asBefore) assert.deepEqual(now.get(name), object, name);
    assert.deepEqual(
      [...now.keys()].filter((name) => !asBefore.has(name)),
      [],
    );
    await eventually(
      "sidecars are of the old revision",
      async () => (await revisionsOf("shop", "istio\\.io/rev")).join() === oldRevision,
      120_000,
    );
    await eventually(
      "so are ztunnels",
      async () => (await revisionsOf("stock", "serin\\.dev/ztunnel-owner")).join() === oldRevision,
    );
  };

  before(async () => {
    const created = await guide.lab.create(
      `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: ${guide.lab.name}\nnodes: [{role: control-plane}, {role: worker}]\n`,
    );
    assert.equal(created.code, 0, created.output);
    for (const spec of [
      { profile: "empty", tag: "1.0.0", components: { cni: { enabled: true } } },
      revisionSpec(oldRevision),
    ])
      await guide.ok(`${guide.lab.serin} install -y -f -`, operator(spec));
    await ok(`${guide.lab.serin} tag set default --revision ${oldRevision} -y`);
    await ok(apply(apps));
    for (const namespace of ["shop", "stock", "front"])
      await ok(`kubectl wait -n ${namespace} --for=condition=Ready pods --all --timeout=110s`);
    await ok(
      "kubectl wait -n stock --for=condition=Programmed gateway/waypoint --timeout=110s && kubectl wait -n front --for=condition=Programmed gateway/gateway --timeout=110s",
    );
    const load = (namespace: string, urls: readonly string[]): PodLoad =>
      new PodLoad(guide.lab, { namespace, workload: "pod/client", container: "client", urls });
    await eventually(
      "all answer",
      async () =>
        await guide.shows(
          "kubectl exec -n front client -- curl -sf -m 2 http://gateway-istio.front && kubectl exec -n stock client -- curl -sf -m 2 http://web",
          /Hostname|echo|GET/i,
        ),
      60_000,
    );
    loads = [load("front", ["http://gateway-istio.front", "http://web.shop"]), load("stock", ["http://web"])];
    await noneFailed();
    asBefore = await everything();
  });
  after(async () => {
    for (const load of loads) await load.stop();
    await guide.lab.delete();
  });

  step("two waves, the gateway and the waypoint move; put back from there, everything is as it was", async () => {
    await ok(
      apply(
        upgrade("half", [
          { name: "sidecars", namespaces: ["shop"] },
          { name: "ambient", pause: { untilApproved: true } },
        ]),
      ),
    );
    await reaches("half", "Paused");
    assert.deepEqual(
      [await revisionsOf("shop", "istio\\.io/rev"), await revisionsOf("stock", "serin\\.dev/ztunnel-owner")],
      [[newRevision], [newRevision]],
    );
    await noneFailed();
    await abort("half");
    await reaches("half", "RolledBack");
    await isAsBefore();
    await noneFailed();
  });

  step("it moves to the end, and the old revision is retired", async () => {
    await ok("kubectl delete meshupgrade half --timeout=60s");
    await ok(apply(upgrade("whole", [])));
    await reaches("whole", "Completed");
    await noneFailed();
    const left = await ok(
      "kubectl get pods,services,mutatingwebhookconfigurations,validatingwebhookconfigurations -A -o name",
    );
    assert.doesNotMatch(left, new RegExp(`istiod-${oldRevision}|ztunnel-${oldRevision}|injector-${oldRevision}`));
    assert.match(await ok("kubectl get namespace shop --show-labels"), /istio-injection=enabled/);
    assert.match(
      await ok(
        "kubectl get mutatingwebhookconfiguration istio-revision-tag-default -o jsonpath='{.webhooks[*].clientConfig.service.name}'",
      ),
      new RegExp(`^(istiod-${newRevision} ?)+$`),
    );
  });

  step("put back after that, the old revision is there again and everything is as it was", async () => {
    await abort("whole");
    await reaches("whole", "RolledBack");
    await isAsBefore();
    await noneFailed();
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`an upgrade of the mesh, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    meshUpgrade(kubectl),
  );
