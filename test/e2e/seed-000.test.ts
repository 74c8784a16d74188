// The walkthrough "Exploring Canary Upgrades with Istio Ambient Mesh" (seed 000), from "Generate kubeconfig" on. It
// types every command in its order, with bash and kubectl, in the namespace of the lab's host. A comment marks each
// line that replaces a download or the creation of the cluster. A mistake in the walkthrough fails here as on a real
// cluster, and the corrected line follows. Lines whose output may depend on kubectl's version run with each version:
// reads, failures, and each kind of write.
import assert from "node:assert/strict";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectlDirectory, kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { givenFacts, guideCluster, type GuideCluster } from "../support/given-cluster.ts";
import { root, serin, type Ran } from "../support/lab-cluster.ts";
import { tickedLines } from "../support/ticked-lines.ts";

const old = "1-18-0-alpha-0";
const canary = "1-18-1";
/** A given cluster has other names and addresses than one of kind. */
const given = givenFacts();
const [stableNode, canaryNode] = given?.nodes ?? ["ambient-worker", "ambient-worker2"];
/** The first three numbers of the LoadBalancer addresses. */
const addresses = given?.addresses ?? "172.18.255";
let lab: GuideCluster;
/**
 * The canary's weights, and how many answers to count at each. Chance leaves the limits of a weight less than once in
 * seventy thousand runs. At 10 %, the chance that the canary gives no answer at all is three in a million.
 */
const weights = [
  { weight: 10, counted: 120 },
  { weight: 50, counted: 200 },
  { weight: 100, counted: 80 },
] as const;
/**
 * A client pauses for four times as long as its last request took. With only two clients, these answers would take half
 * a minute, while the idle lab uses CPU time.
 */
const countingClients = 4;
/** How many answers to wait for after a change that moves no traffic. */
const answersAfterwards = 20;
const gateway = `http://${addresses}.202/productpage`;

/** The directories of kubectl's versions. The last is the current version. */
const typists: string[] = [];
/** The directory of the kubectl that types the next lines. Undefined is the current version. */
let typist: string | undefined;

async function type(line: string, input?: string): Promise<Ran> {
  const typed = typist === undefined ? line : `PATH=${typist}:$PATH\n${line}`;
  return await lab.shell(typed, input === undefined ? {} : { input });
}

/** Types lines that can be repeated, with each version of kubectl. */
async function byEach(body: () => Promise<void>): Promise<void> {
  for (typist of typists) await body();
  typist = undefined;
}

/** Types lines that can run only once, with the oldest kubectl. */
async function byOldest<Value>(body: () => Promise<Value>): Promise<Value> {
  [typist] = typists;
  const value = await body();
  typist = undefined;
  return value;
}

async function ok(line: string, input?: string): Promise<string> {
  const { code, output } = await type(line, input);
  assert.equal(code, 0, `${line}\n${output}`);
  return output;
}

async function fails(line: string, expected: RegExp): Promise<Ran> {
  const ran = await type(line);
  assert.notEqual(ran.code, 0, `${line} should fail\n${ran.output}`);
  assert.match(ran.output, expected);
  return ran;
}

async function whoAnswers(curl = `curl -s -m 2 ${gateway}`): Promise<string> {
  const { output } = await lab.shell(curl);
  const [, pod = ""] = /Reviews served by:<\/dt>\s*<dd>([^<]*)<\/dd>/.exec(output) ?? [];
  const [, namespace = ""] = /Cluster:<\/dt>\s*<dd>([^<]*)<\/dd>/.exec(output) ?? [];
  return pod === "" ? output.slice(0, 200) : `${namespace} ${/reviews-(v\d)/.exec(pod)?.[1] ?? "?"}`;
}

async function titleComesBack(expected: RegExp): Promise<void> {
  assert.equal(await ok(`curl -s "${gateway}" | grep -o "<title>.*</title>"`), "<title>Simple Bookstore App</title>\n");
  assert.match(await whoAnswers(), expected);
}

/**
 * Applies a corrected line under constant load, of which no request may fail. Afterwards, waits for at least so many
 * answers, and returns how many each version gave.
 */
async function underLoad(
  change: () => Promise<void>,
  afterwards = answersAfterwards,
): Promise<ReadonlyMap<string, number>> {
  const load = new GatewayLoad(
    lab,
    gateway,
    afterwards > answersAfterwards ? { pauseMs: 50, clientsOfEachKind: countingClients } : {},
  );
  const changeAndCount = async (): Promise<void> => {
    await change();
    load.answers.clear();
  };
  await changeUnderLoad(load, changeAndCount, afterwards);
  return load.answers;
}

function share(answers: ReadonlyMap<string, number>, namespace: string): number {
  let [all, own] = [0, 0];
  for (const [name, count] of answers) {
    all += count;
    if (name.startsWith(`${namespace}/`)) own += count;
  }
  return (own / all) * 100;
}

/** The keys of a ztunnel's configuration that the walkthrough shows. */
const configurationKeys =
  `connection_window_size frame_size socks5_addr admin_addr stats_addr readiness_addr inbound_addr inbound_plaintext_addr outbound_addr
  local_node local_ip ca_address ca_root_cert xds_address xds_root_cert xds_on_demand fake_ca termination_grace_period secs nanos
  proxy_metadata ISTIO_VERSION num_worker_threads enable_original_source proxy_args`.split(/\s+/);

const route = (rules: string): string => `apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: bookinfo
spec:
  parentRefs:
  - name: bookinfo-gateway
    namespace: istio-system
  rules:
${rules}`;

const paths = `  - matches:
    - path:
        type: Exact
        value: /productpage
    - path:
        type: PathPrefix
        value: /static
    - path:
        type: Exact
        value: /login
    - path:
        type: Exact
        value: /logout
    - path:
        type: PathPrefix
        value: /api/v1/products
`;

const backends = (...weights: readonly (readonly [namespace: string, weight?: number])[]): string =>
  `    backendRefs:\n${weights.map(([namespace, weight]) => `    - name: productpage\n      namespace: ${namespace}\n      port: 9080\n${weight === undefined ? "" : `      weight: ${weight}\n`}`).join("")}`;

function writeRoute(rules: string): void {
  writeFileSync(join(lab.directory, "bookinfo-httproute.yaml"), route(rules));
}

const grant = (namespace: string): string => `kubectl apply -f - <<EOF
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata:
  name: bookinfo-route
  namespace: ${namespace}
spec:
  from:
  - group: gateway.networking.k8s.io
    kind: HTTPRoute
    namespace: default
  to:
  - group: ""
    kind: Service
EOF`;

function walkthrough(all: readonly Kubectl[]): void {
  let failed: string | undefined;
  /** Each step needs those before it. After a step has failed, the others fail at once. */
  const step = (title: string, body: () => Promise<void>): void => {
    test(title, async () => {
      assert.equal(failed, undefined, "an earlier step failed");
      [failed, typist] = [title, undefined];
      await body();
      failed = undefined;
    });
  };

  before(async () => {
    const path = process.env["PATH"];
    typists.push(...all.map(kubectlDirectory));
    process.env["PATH"] = `${typists.at(-1) ?? ""}:${path ?? ""}`;
    lab = guideCluster("ambient", given);
    process.env["PATH"] = path;
    // Replaces `kind create cluster`. The YAML is the walkthrough's.
    const created = await lab.create(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: ambient
networking:
  apiServerAddress: "10.0.0.152"
  apiServerPort: 6443
nodes:
- role: control-plane
- role: worker
- role: worker
`);
    assert.equal(created.code, 0, created.output);
    if (given === undefined)
      assert.match(created.output, /10\.0\.0\.152/, "an address that is not ours gets a warning");
    // Replaces the download of the release archive, and the clone of the demo's repository.
    for (const version of ["1.18.0-alpha.0", "1.18.1"]) await lab.addRelease(version);
    const exported = await lab.run([serin, "release", "export", lab.directory]);
    assert.equal(exported.code, 0, exported.output);
    cpSync(join(root, "samples/ambient-canary"), lab.directory, { recursive: true });
  });

  after(async () => {
    if (typists.length < all.length) return;
    await lab.delete();
    for (const directory of typists) rmSync(directory, { recursive: true, force: true });
  });

  step("the kubeconfig is kind's, and every node is ready", async () => {
    // A given cluster is not one of kind: it has its own kubeconfig, its context has another name, and every node runs
    // pods.
    if (given === undefined) await ok("mkdir -p ~/.kube && sudo kind get kubeconfig --name ambient > ~/.kube/config");
    await byEach(async () => {
      const nodes = await ok("kubectl get nodes");
      for (const node of [...(given === undefined ? ["ambient-control-plane"] : []), stableNode, canaryNode])
        assert.match(nodes, new RegExp(`${node}\\s+Ready`));
      const context = await ok("kubectl config current-context --kubeconfig ~/.kube/config");
      if (given === undefined) assert.match(context, /kind-ambient/);
    });
  });

  // A given cluster has a load balancer of its own, and neither Docker's network nor MetalLB's kinds.
  const labStep = given === undefined ? step : (): void => undefined;
  labStep(
    "MetalLB: the network is kind's, the slip `apply -f <<EOF` fails, and with `-` the pool is made",
    async () => {
      // Replaces `kubectl apply -f https://…/metallb-native.yaml`: a lab begins with MetalLB's kinds and namespace.
      assert.match(await ok("sudo docker network inspect -f '{{.IPAM.Config}}' kind"), /172\.18\.0\.0\/16/);
      const pool = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: example
  namespace: metallb-system
spec:
  addresses:
  - 172.18.255.200-172.18.255.250
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  name: empty
  namespace: metallb-system
EOF`;
      await byEach(async () => {
        await fails(`kubectl apply -f <<EOF\n${pool}`, /flag needs an argument|must specify/);
        await ok(`kubectl apply -f - <<EOF\n${pool}`);
      });
    },
  );

  step("the Gateway API's kinds exist", async () => {
    // What follows `||` does not run, because the kinds exist.
    const line = `kubectl get crd gateways.gateway.networking.k8s.io &> /dev/null || { kubectl kustomize "github.com/kubernetes-sigs/gateway-api/config/crd/experimental?ref=v0.6.1" | kubectl apply -f -; }`;
    await byEach(async () => void (await ok(line)));
  });

  step("kind's check Service takes the pool's first address", async () => {
    await byOldest(
      async () =>
        await ok(
          "kubectl apply -f samples/sleep/sleep.yaml && kubectl create service loadbalancer foo-service --tcp=5678:5678",
        ),
    );
    await byEach(
      async () =>
        void (await eventually("foo-service has .200", async () =>
          (await ok("kubectl get svc foo-service")).includes(`${addresses}.200`),
        )),
    );
  });

  step("the ambient profile is installed with five ticks, and its gateway takes .201", async () => {
    const output = await ok("istioctl install --set profile=ambient --skip-confirmation");
    assert.match(
      tickedLines(output),
      /✔ Istio core installed\n✔ Istiod installed\n✔ CNI installed\n✔ Ingress gateways installed\n✔ Ztunnel installed\n✔ Installation complete/,
    );
    await eventually("the ingress gateway has .201", async () =>
      (await ok("kubectl -n istio-system get svc istio-ingressgateway")).includes(`${addresses}.201`),
    );
  });

  step("ztunnel's log shows its configuration by the walkthrough's keys", async () => {
    await byEach(async () => {
      const log = await ok("kubectl -n istio-system logs ds/ztunnel");
      for (const key of configurationKeys) assert.match(log, new RegExp(`^ *${key}:`, "m"));
      // Window sizes and the SOCKS address are those of today's ztunnel. Values that the walkthrough explains are as it
      // shows them.
      for (const line of [
        "frame_size: 1048576",
        "inbound_addr: '[::]:15008'",
        "ca_address: https://istiod.istio-system.svc:15012",
        "xds_address: https://istiod.istio-system.svc:15012",
        "xds_on_demand: false",
        "proxy_args: proxy ztunnel",
      ]) {
        assert.ok(log.includes(`\n${line}\n`), `${line} in\n${log.slice(0, 2000)}`);
      }
    });
  });

  step("the label with a colon fails, and with an equals sign it succeeds", async () => {
    await byEach(async () => {
      await fails(
        `kubectl label node ${stableNode} istio.io/rev: ${old}`,
        /at least one label update is required|invalid label|not found/,
      );
      await ok(`kubectl label node ${stableNode} istio.io/rev=${old}`);
    });
  });

  step("the stable revision's parts are installed one by one", async () => {
    for (const file of ["istio-cni.yaml", `${old}/control-plane.yaml`, `${old}/data-plane.yaml`])
      await ok(`istioctl install -f ${file}`, "y\n");
    await byEach(async () =>
      assert.match(
        await ok("kubectl -n istio-system get pods -o wide"),
        new RegExp(`ztunnel-${old}\\S+\\s+1/1\\s+Running.*\\s${stableNode}\\s`),
      ),
    );
  });

  step(
    "the namespace that the walkthrough never creates is missing; after it exists, the workloads run on their node",
    async () => {
      await byEach(
        async () =>
          void (await fails(
            `kubectl apply -f ${old}/bookinfo.yaml -n bookinfo-${old}`,
            /namespaces "bookinfo-1-18-0-alpha-0" not found/,
          )),
      );
      await byOldest(async () => await ok(`kubectl create namespace bookinfo-${old}`));
      await byEach(async () => {
        for (const file of ["bookinfo", "sleep", "notsleep"])
          await ok(`kubectl apply -f ${old}/${file}.yaml -n bookinfo-${old}`);
        await ok(`kubectl -n bookinfo-${old} wait --for=condition=Available deploy --all --timeout=60s`);
        const pods = await ok(`kubectl -n bookinfo-${old} get pods -o wide --no-headers`);
        for (const line of pods.trim().split("\n")) assert.match(line, new RegExp(`\\s${stableNode}\\s`));
      });
    },
  );

  step(
    "the gateway takes .202; its route is created in default, where productpage does not exist, and is then corrected",
    async () => {
      const corrected = `sed -e 's/from: Same/from: All/'      -e '/^  name: bookinfo-gateway/a\\
  namespace: istio-system\\
'     -e '/^  - name: bookinfo-gateway/a\\
    namespace: istio-system\\
' samples/bookinfo/gateway-api/bookinfo-gateway.yaml | kubectl apply -f -`;
      await byEach(async () => {
        await ok(corrected);
        await eventually("the gateway has .202", async () =>
          (await ok("kubectl -n istio-system get svc bookinfo-gateway-istio || true")).includes(`${addresses}.202`),
        );
        await eventually("the route says that its backend is missing", async () =>
          (await ok("kubectl -n default get httproute bookinfo -o yaml")).includes("BackendNotFound"),
        );
      });
      await eventually(
        "a route without a backend answers 500",
        async () => (await ok(`curl -s -m 2 -o /dev/null -w '%{http_code}' ${gateway} || true`)).trim() === "500",
      );
      writeRoute(paths + backends([`bookinfo-${old}`]));
      await byEach(async () => {
        await ok("kubectl apply -f bookinfo-httproute.yaml");
        await eventually("a backend of another namespace needs a grant", async () =>
          (await ok("kubectl -n default get httproute bookinfo -o yaml")).includes("RefNotPermitted"),
        );
      });
      await byEach(async () => void (await ok(grant(`bookinfo-${old}`))));
      await eventually("the title comes back", async () => (await whoAnswers()).startsWith(`bookinfo-${old} `));
      await titleComesBack(new RegExp(`^bookinfo-${old} v\\d$`));
    },
  );

  step("labelling the namespace enrols the workloads under load, and ztunnel names both identities", async () => {
    await underLoad(
      async () =>
        await byEach(async () => {
          await ok(`kubectl label namespace bookinfo-${old} istio.io/dataplane-mode=ambient`);
          await eventually("every pod is enrolled", async () => {
            const enrolled = await ok(
              `kubectl -n bookinfo-${old} get pods -o jsonpath='{.items[*].metadata.annotations.ambient\\.istio\\.io/redirection}'`,
            );
            return enrolled.trim().split(" ").length === 8;
          });
        }),
    );
    await titleComesBack(new RegExp(`^bookinfo-${old} v\\d$`));
    const bothEnds = new RegExp(
      `src\\.identity="?spiffe://cluster\\.local/ns/bookinfo-${old}/sa/bookinfo-productpage.*dst\\.identity="?spiffe://cluster\\.local/ns/bookinfo-${old}/sa/bookinfo-reviews`,
    );
    await byEach(
      async () =>
        void (await eventually("the access log names both ends", async () =>
          bothEnds.test(await ok(`kubectl -n istio-system logs ds/ztunnel-${old} --tail=200`)),
        )),
    );
  });

  step("the canary revision comes up beside it, on the other node", async () => {
    // The files are there, so `git clone` is left out.
    await byEach(async () => {
      await fails(
        `kubectl label node ${canaryNode} istio.io/rev: ${canary}`,
        /at least one label update is required|invalid label|not found/,
      );
      await ok(`kubectl label node ${canaryNode} istio.io/rev=${canary}`);
    });
    await underLoad(async () => {
      await ok(`istioctl install -f ${canary}/control-plane.yaml`, "y\n");
      await ok(`istioctl install -f ${canary}/data-plane.yaml`, "y\n");
      await ok(`kubectl create ns bookinfo-${canary}`);
      for (const file of ["bookinfo", "sleep", "notsleep"])
        await ok(`kubectl apply -f ${canary}/${file}.yaml -n bookinfo-${canary}`);
      await ok(`kubectl label namespace bookinfo-${canary} istio.io/dataplane-mode=ambient`);
      await ok(`kubectl -n bookinfo-${canary} wait --for=condition=Available deploy --all --timeout=60s`);
    });
    const version = await ok("istioctl version");
    assert.match(version, /1\.18\.1/);
    assert.match(version, /1\.18\.0-alpha\.0/);
  });

  step("the exact path of rule 1 wins over the header rule, and a rule with both wins over it", async () => {
    const header = `  - matches:
    - headers:
      - name: traffic
        value: test
${backends([`bookinfo-${canary}`])}`;
    writeRoute(paths + backends([`bookinfo-${old}`]) + header);
    await byEach(async () => void (await ok("kubectl apply -f bookinfo-httproute.yaml")));
    const asTester = `curl -s -m 2 -H "traffic: test" "${gateway}"`;
    assert.match(await ok(`${asTester} | grep -o "<title>.*</title>"`), /Simple Bookstore App/);
    assert.match(
      await whoAnswers(asTester),
      new RegExp(`^bookinfo-${old} `),
      "the tester is still answered by the stable release",
    );
    const corrected = `  - matches:
    - path:
        type: Exact
        value: /productpage
      headers:
      - name: traffic
        value: test
${backends([`bookinfo-${canary}`])}`;
    await byEach(async () => void (await ok(grant(`bookinfo-${canary}`))));
    await underLoad(async () => {
      writeRoute(paths + backends([`bookinfo-${old}`]) + corrected);
      await ok("kubectl apply -f bookinfo-httproute.yaml");
      await eventually("the tester is answered by the canary", async () =>
        (await whoAnswers(asTester)).startsWith(`bookinfo-${canary} `),
      );
    });
    assert.match(
      await whoAnswers(),
      new RegExp(`^bookinfo-${old} `),
      "everybody else is answered by the stable release",
    );
  });

  step(
    "`namespace: default` has no productpage: nine of ten requests fail, tried without load and then corrected",
    async () => {
      writeRoute(paths + backends(["default", 90], [`bookinfo-${canary}`, 10]));
      await byEach(async () => void (await ok("kubectl apply -f bookinfo-httproute.yaml")));
      await eventually(
        "requests for the missing backend answer 500",
        async () => (await ok(`curl -s -m 2 -o /dev/null -w '%{http_code}' ${gateway} || true`)).trim() === "500",
      );
      writeRoute(paths + backends([`bookinfo-${old}`, 90], [`bookinfo-${canary}`, 10]));
      await byEach(async () => void (await ok("kubectl apply -f bookinfo-httproute.yaml")));
      await eventually("five of five come back", async () => {
        const five = await Promise.all(Array.from({ length: 5 }, async () => await whoAnswers()));
        return five.every((who) => /^bookinfo-1-18-(0-alpha-0|1) v\d$/.test(who));
      });
    },
  );

  step("weights 90/10, 50/50 and 0/100 move the traffic, and no request fails", async () => {
    for (const { weight, counted } of weights) {
      const answers = await underLoad(async () => {
        writeRoute(paths + backends([`bookinfo-${old}`, 100 - weight], [`bookinfo-${canary}`, weight]));
        await byEach(async () => void (await ok("kubectl apply -f bookinfo-httproute.yaml")));
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }, counted);
      const measured = share(answers, `bookinfo-${canary}`);
      assert.ok(
        measured > 0 && Math.abs(measured - weight) <= (weight === 100 ? 0 : 15),
        `${measured.toFixed(1)} % for weight ${weight}`,
      );
    }
    await titleComesBack(new RegExp(`^bookinfo-${canary} v\\d$`));
  });

  step("the walkthrough's lines remove the old workloads while the canary answers", async () => {
    await underLoad(async () => {
      await ok(`kubectl delete -f ${old}/bookinfo.yaml`);
      await byOldest(async () => await ok(`kubectl delete -f ${old}/sleep.yaml`));
      await ok(`kubectl delete -f ${old}/notsleep.yaml`);
    });
    await titleComesBack(new RegExp(`^bookinfo-${canary} v\\d$`));
    // The namespace `default` never had the label. kubectl says so, and succeeds.
    await byEach(async () =>
      assert.match(await ok("kubectl label ns default istio.io/dataplane-mode-"), /not found|not labeled|unlabeled/),
    );
  });

  step("`uninstall --purge` removes both revisions, once it is confirmed", async () => {
    const refused = await lab.shell("istioctl uninstall --purge", { input: "n\n" });
    assert.notEqual(refused.code, 0);
    const { code, output } = await lab.shell("istioctl uninstall --purge", { input: "y\n" });
    assert.equal(code, 0, output);
    assert.match(output, /Uninstall complete/);
    await byEach(
      async () =>
        void (await eventually(
          "no control plane is left",
          async () => !(await ok("kubectl -n istio-system get deploy,ds --no-headers 2>&1")).includes("istiod"),
        )),
    );
  });
}

const all = kubectls();
const titles = all.map((kubectl) => `${kubectl.title} (${kubectlVersion(kubectl)})`);
describe(`seed 000, by ${titles.join(" and ")}`, { concurrency: 1 }, () => walkthrough(all));
