// The walkthrough "Canary Deployment with Istio on EKS" (seed 002): every command in its order. A comment marks each
// line that replaces a download or the creation of the cluster.
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { ServedPage } from "../../scripts/proofs/dashboard-proof/served-page.ts";
import { casesInChromium, launchChromium } from "../support/chromium.ts";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { tickedLines } from "../support/ticked-lines.ts";
import { SeedGuide } from "../support/walkthrough.ts";

const deployment = (version: string): string => `apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: nginx
  name: nginx-${version}
spec:
  replicas: 1
  selector:
    matchLabels:
      app: nginx
      version: ${version}
  template:
    metadata:
      labels:
        app: nginx
        version: ${version}
    spec:
      containers:
      - image: quay.io/shardul/nginx:${version}
        name: nginx-${version}
        imagePullPolicy: Always
        ports:
        - name: http
          containerPort: 80
        livenessProbe:
          httpGet:
            path: /health
            port: 80
        readinessProbe:
          httpGet:
            path: /health
            port: 80
`;

const service = `apiVersion: v1
kind: Service
metadata:
  labels:
    app: nginx
  name: nginx
spec:
  ports:
  - name: http
    port: 80
  selector:
    app: nginx
`;

const gateway = `apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata:
  name: default-gateway
  namespace: istio-system
spec:
  selector:
    istio: ingressgateway
  servers:
  - hosts:
    - '*'
    port:
      name: http
      number: 80
      protocol: HTTP
`;

const destinationRule = `apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: nginx-dest-rule
spec:
  host: nginx
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
`;

const virtualService = (stable: number, canary: number): string => `apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: nginx-virtual-svc
spec:
  hosts:
  - nginx
  gateways:
  - istio-system/default-gateway
  http:
  - route:
    - destination:
        host: nginx
        subset: v1
      weight: ${stable}
    - destination:
        host: nginx
        subset: v2
      weight: ${canary}
`;

/** With 1,000 answers at 10 %, chance gives fewer than 69 or more than 133 once in a thousand runs. */
const counted = 1000;
const canaryBounds = { least: 69, most: 133 };

const wholeName = "nginx.default.svc.cluster.local";

const pageTimeoutMs = 60_000;
/** The allowed percentages over the last minute, in which only some of the 1,000 requests came. */
const measuredBounds = { least: 5, most: 16 };

/** Opens what the guide's last picture shows: the graph of versioned apps, with shares of traffic on its edges. */
async function lookAtCanary(page: Page, url: string): Promise<void> {
  page.setDefaultTimeout(pageTimeoutMs);
  const complaints: string[] = [];
  page.on("console", (message) => void (message.type() === "error" && complaints.push(message.text())));
  page.on("pageerror", ({ message }) => complaints.push(message));
  await page.goto(url);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page
    .getByRole("table", { name: "Namespaces" })
    .getByRole("link", { name: "default", exact: true })
    .first()
    .waitFor();
  await page.getByRole("link", { name: "Graph", exact: true }).first().click();
  const drawing = page.getByRole("application", { name: /Traffic graph: \d+ nodes/ });
  await drawing.waitFor();
  await page.getByRole("combobox", { name: "On edges" }).selectOption({ label: "Weight: configured → measured" });
  assert.equal(
    await page.getByRole("combobox", { name: "Show" }).locator("option:checked").textContent(),
    "Apps with versions",
  );
  await page.getByRole("button", { name: "Table", exact: true }).click();
  const edges = page.getByRole("table", { name: "Edges of the graph" });
  let tableText = "";
  await eventually(
    "the edges to both versions say their weights",
    async () => {
      tableText = await edges.innerText();
      const measured = /istio-ingressgateway → nginx v2[^]*?10 % → (\d+(?:\.\d+)?) %/.exec(tableText)?.[1];
      return (
        /istio-ingressgateway → nginx v1[^]*?90 % → \d/.test(tableText) &&
        measured !== undefined &&
        Number(measured) >= measuredBounds.least &&
        Number(measured) <= measuredBounds.most
      );
    },
    pageTimeoutMs,
  ).catch((error: unknown) => assert.fail(`${String(error)}\n${tableText}`));
  await edges.getByRole("button", { name: "istio-ingressgateway → nginx v2" }).first().click();
  const panel = page.getByRole("complementary", { name: "Details of the selection" });
  await panel.getByRole("heading", { name: "Weights" }).waitFor();
  assert.match(await panel.innerText(), /nginx-virtual-svc/);
  // The drawing shows the same, and the edge stays selected.
  await page.getByRole("button", { name: "Graph", exact: true }).click();
  await drawing.waitFor();
  await page.getByText("Arranging…").waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
}

function walkthrough(kubectl: Kubectl): void {
  const guide = new SeedGuide("dev-cluster", kubectl);
  const ok = async (line: string, input?: string): Promise<string> => await guide.ok(line, input);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const apply = async (name: string, manifest: string): Promise<void> => {
    writeFileSync(join(guide.lab.directory, name), manifest);
    await ok(`kubectl apply -f ${name}`);
  };
  const inTestPod = "kubectl exec test-connection -c test-connection -- ";
  /**
   * Counts the answers of both versions of nginx. The client is in the test pod or outside the cluster. One curl sends
   * all requests, each over a connection of its own, because the start of a curl takes ten times as long as a request.
   */
  const countVersions = async (
    count: number,
    address: string,
    { host = "", where = inTestPod }: { readonly host?: string; readonly where?: string } = {},
  ): Promise<{ v1: number; v2: number }> => {
    const headers = `-H "Connection: close"${host === "" ? "" : ` -H "Host: ${host}"`}`;
    const answers = await ok(`${where}curl -s -w "\\n" ${headers} "http://${address}/?[1-${count}]"`);
    const lines = answers.trim().split("\n");
    assert.equal(lines.length, count, answers.slice(0, 300));
    for (const line of lines) assert.match(line, /^You're at the root of nginx server v[12]$/);
    const v1 = lines.filter((line) => line.endsWith("v1")).length;
    return { v1, v2: count - v1 };
  };
  const addressOf = async (): Promise<string> =>
    (
      await ok(
        "kubectl -n istio-system get svc istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
      )
    ).trim();
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    const address = await addressOf();
    const load = new GatewayLoad(guide.lab, `http://${address}/`, {
      header: `host: ${wholeName}`,
      expected: "You're at the root of nginx server v",
    });
    await changeUnderLoad(load, change);
  };

  before(async () => {
    // Replaces `eksctl create cluster --name dev-cluster --version 1.21 … --nodes 3 --managed`.
    await guide.create(undefined, ["--workers", "3"]);
    await guide.run("release", "export", guide.lab.directory);
  });
  after(async () => await guide.lab.delete());

  step("the cluster has only its own pods", async () => {
    const pods = await ok("kubectl get pods -A");
    assert.match(pods, /kube-system\s+coredns-\S+\s+1\/1\s+Running/);
    // In the given cluster, kube-proxy is a program on the node and no pod.
    if (guide.given === undefined) assert.match(pods, /kube-system\s+kube-proxy-\S+\s+1\/1\s+Running/);
    for (const line of pods.trim().split("\n").slice(1)) assert.match(line, /^kube-system\s|^metallb-system\s/);
  });

  step("the default profile is installed, and again by kubectl", async () => {
    const output = await ok("istioctl install --set profile=default -y");
    assert.match(
      tickedLines(output),
      /✔ Istio core installed\n✔ Istiod installed\n✔ Ingress gateways installed\n✔ Installation complete/,
    );
    await ok("istioctl manifest generate --set profile=default > generated-manifest.yaml");
    const applied = await ok("kubectl apply -f generated-manifest.yaml");
    assert.match(applied, /deployment.apps\/istiod (configured|unchanged)/);
    await ok(
      "kubectl -n istio-system rollout status deployment/istiod --timeout=180s && kubectl -n istio-system rollout status deployment/istio-ingressgateway --timeout=180s",
    );
    assert.match(
      await ok("kubectl -n istio-system get svc istio-ingressgateway"),
      /LoadBalancer\s+\S+\s+\d+\.\d+\.\d+\.\d+\s+15021:\d+\/TCP,80:\d+\/TCP,443:\d+\/TCP/,
    );
  });

  step("the namespace is labelled for injection", async () => {
    await ok("kubectl label namespace default istio-injection=enabled");
  });

  step("the addons start", async () => {
    // Replaces https://raw.githubusercontent.com/istio/istio/1.10.3/samples/addons/….
    for (const addon of ["prometheus", "grafana", "kiali"]) await ok(`kubectl apply -f samples/addons/${addon}.yaml`);
    for (const addon of ["prometheus", "grafana", "kiali"])
      await ok(`kubectl -n istio-system rollout status deployment/${addon} --timeout=180s`);
  });

  step("v1 answers a client in the mesh", async () => {
    await apply("nginx-v1.yaml", deployment("v1"));
    await apply("service.yaml", service);
    await ok("kubectl rollout status deployment/nginx-v1 --timeout=180s");
    assert.match(await ok("kubectl get pods -l app=nginx --no-headers"), /\s2\/2\s+Running/);
    // `kubectl run -it` needs a terminal, which script(1) gives it.
    const session =
      await ok(`script -qec "kubectl run -it test-connection --image=radial/busyboxplus:curl -- sh" /dev/null <<'EOF'
curl nginx && echo
exit
EOF`);
    assert.match(session, /You're at the root of nginx server v1/);
    assert.match(session, /\[ root@test-connection:\/ \]\$/);
    // The shell has ended, so the container restarts. The kubelet reports that with a delay.
    await eventually("the test pod runs again", async () => await guide.shows(`${inTestPod}true`, ""));
    assert.deepEqual(await countVersions(20, "nginx"), { v1: 20, v2: 0 });
  });

  step("v2 shares the requests in round robin after it starts", async () => {
    await apply("nginx-v2.yaml", deployment("v2"));
    await ok("kubectl rollout status deployment/nginx-v2 --timeout=180s");
    await eventually("the client sees both", async () => (await countVersions(10, "nginx")).v2 > 0);
    const { v1, v2 } = await countVersions(200, "nginx");
    assert.ok(v1 >= 70 && v2 >= 70, `${v1} and ${v2} of 200`);
  });

  step(
    "the gateway, the subsets and the weights are applied, and the test pod's own sidecar sends its requests past the gateway",
    async () => {
      await apply("gateway.yaml", gateway);
      await apply("destination-rule.yaml", destinationRule);
      await apply("virtual-service.yaml", virtualService(90, 10));
      await new Promise((resolve) => setTimeout(resolve, 1000));
      // A mistake of the guide, which also shows on a real cluster: the pod has a sidecar, and the sidecar routes port
      // 80 by the Host header, straight to the Service nginx. The weights apply only at the gateway, so both versions
      // still answer in turn.
      const { v1, v2 } = await countVersions(200, "istio-ingressgateway.istio-system", { host: "nginx" });
      assert.ok(v1 >= 70 && v2 >= 70, `${v1} and ${v2} of 200`);
    },
  );

  step("from outside of the mesh, 10 % of 1,000 requests reach v2", async () => {
    // Istio completes short names, so the gateway knows the host only by its full name. `nginx` is not found there.
    const address = await addressOf();
    assert.equal(await ok(`curl -s -o /dev/null -w '%{http_code}' -H "Host: nginx" http://${address}`), "404");
    await eventually(
      "the gateway answers",
      async () => await guide.shows(`curl -s -H "Host: ${wholeName}" http://${address}`, "nginx server"),
    );
    const { v2 } = await countVersions(counted, address, { host: wholeName, where: "" });
    assert.ok(v2 >= canaryBounds.least && v2 <= canaryBounds.most, `${v2} of ${counted} reached v2`);
    assert.equal(
      await ok(`curl -s -o /dev/null -w '%{http_code}' http://${await addressOf()}`),
      "404",
      "only the host nginx is routed",
    );
  });

  casesInChromium("Kiali of the guide", () => {
    step(
      "on the page that `istioctl dashboard kiali` opens, the gateway's edges to both versions say 90 and 10 %, and what was measured",
      async () => {
        await underLoad(async () => {
          const istioctl = join(guide.lab.directory, "istioctl");
          symlinkSync(guide.lab.serin, istioctl);
          const served = await ServedPage.start({ serin: istioctl, spawn: (command) => guide.lab.spawn(command) }, [
            "kiali",
          ]);
          const browser = await launchChromium();
          try {
            assert.match(served.url, /^http:\/\/localhost:\d+\/kiali/);
            await lookAtCanary(await browser.newPage({ viewport: { width: 1280, height: 800 } }), served.url);
          } finally {
            await browser.close();
            await served.stop();
          }
        });
      },
    );
  });

  step("the new version takes all requests step by step, and none fails", async () => {
    await underLoad(async () => {
      for (const weight of [50, 100]) {
        await apply("virtual-service.yaml", virtualService(100 - weight, weight));
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    });
    assert.deepEqual(await countVersions(40, await addressOf(), { host: wholeName, where: "" }), {
      v1: 0,
      v2: 40,
    });
  });

  step("sidecars are restarted under load, and no request fails", async () => {
    await underLoad(async () => {
      await ok(
        "kubectl rollout restart deployment/nginx-v2 && kubectl rollout status deployment/nginx-v2 --timeout=180s",
      );
      await ok(
        "kubectl -n istio-system rollout restart deployment/istio-ingressgateway && kubectl -n istio-system rollout status deployment/istio-ingressgateway --timeout=180s",
      );
    });
  });

  step("`istioctl dashboard kiali` leads to the graph, and prometheus knows the weights", async () => {
    // The page draws the graph from this stream. The gateway's pod is new, so it appears after two scrapes between
    // which requests have come.
    const stream = "http://localhost:20001/kiali/api/live?topic=graph%3Fby%3Dworkload";
    const shown = `curl -s -o /dev/null -H "Host: ${wholeName}" http://${await addressOf()}; curl -sL -m 2 http://localhost:20001/kiali > page.html && { curl -sN -m 2 "${stream}" > graph.txt; grep -q nginx graph.txt && grep -q istio-ingressgateway graph.txt; }`;
    const output = await ok(
      `timeout 90 bash -c 'istioctl dashboard kiali --browser=false > dashboard.log 2>&1 & pid=$!; for i in $(seq 200); do ${shown} && break; sleep 0.3; done; kill $pid; cat dashboard.log page.html graph.txt'`,
    );
    assert.match(output, /http:\/\/localhost:20001\/kiali/);
    assert.match(output, /<title>Serin<\/title>/);
    assert.match(output, /istio-ingressgateway/);
    assert.match(output, /nginx/);
    const query = `sum by (destination_version) (istio_requests_total{destination_app="nginx",reporter="destination"})`;
    await eventually("prometheus has counted both versions", async () => {
      const answer = await ok(
        `${inTestPod}curl -sG http://prometheus.istio-system:9090/api/v1/query --data-urlencode 'query=${query}' || true`,
      );
      return /"destination_version":"v1"/.test(answer) && /"destination_version":"v2"/.test(answer);
    });
  });

  step(
    "the mesh and its addons requested nothing that their roles refuse, and Prometheus' role allows nothing unused",
    async () => {
      const prometheus = "istio-system:prometheus";
      const accounts = ["istio-system:istiod", "istio-system:kiali", prometheus];
      await guide.requireLeastRights({ accounts, compared: [prometheus] });
    },
  );
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`seed 002, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    walkthrough(kubectl),
  );
