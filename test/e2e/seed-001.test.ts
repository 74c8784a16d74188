// The walkthrough "Try out Istio Ambient mode" (seed 001): every command in its order. A comment marks each line that
// replaces a download or the creation of the cluster. Names of pods are looked up, as a reader does.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { SeedGuide } from "../support/walkthrough.ts";

const waypoint = (name: string, account: string): string => `kubectl apply -f - <<EOF
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: Gateway
metadata:
 name: ${name}
 annotations:
   istio.io/service-account: ${account}
spec:
 gatewayClassName: istio-mesh
EOF`;

function walkthrough(kubectl: Kubectl): void {
  const guide = new SeedGuide("ambient", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  let page = "";
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    await changeUnderLoad(new GatewayLoad(guide.lab, page), change);
  };
  const nodeOf = async (namespace: string, selector: string): Promise<string> =>
    (await ok(`kubectl -n ${namespace} get pod -l ${selector} -o jsonpath='{.items[0].spec.nodeName}'`)).trim();
  const ztunnelOn = async (node: string): Promise<string> =>
    (
      await ok(
        `kubectl -n istio-system get pod -l app=ztunnel --field-selector spec.nodeName=${node} -o jsonpath='{.items[0].metadata.name}'`,
      )
    ).trim();
  const title = async (): Promise<void> =>
    assert.match(
      await ok("kubectl exec deploy/sleep -- curl -s http://productpage:9080/"),
      /<title>Simple Bookstore App<\/title>/,
    );

  before(async () => {
    // Replaces `kind create cluster --config=-`. The YAML is the walkthrough's.
    await guide.create(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: ambient
nodes:
- role: control-plane
- role: worker
- role: worker
`);
    // Replaces `wget …/istio-0.0.0-ambient.191fe68….tar.gz` and `tar -xvf`. The layout is the archive's, with
    // bin/istioctl.
    await guide.run("release", "export", guide.lab.directory);
  });
  after(async () => await guide.lab.delete());

  step("the ambient profile is installed from the walkthrough's own hub", async () => {
    // These options select the formats of logs and of the page in the release of 2022.
    await ok(
      "./bin/istioctl install --set profile=ambient --set hub=zhaohuabing --set meshConfig.defaultConfig.proxyMetadata.SERIN_LOG_FORMAT=2022 -y",
    );
    const pods = await ok("kubectl -n istio-system get pod --no-headers");
    const nodes = guide.given?.nodes.length ?? 3;
    for (const [name, count] of [
      ["istio-cni-node", nodes],
      ["istio-ingressgateway", 1],
      ["istiod", 1],
      ["ztunnel", nodes],
    ] as const) {
      assert.equal(
        pods
          .trim()
          .split("\n")
          .filter((line) => line.startsWith(`${name}-`) && /1\/1\s+Running/.test(line)).length,
        count,
        pods,
      );
    }
  });

  step("bookinfo runs outside of the mesh, and the ingress gateway serves it", async () => {
    await ok("kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml");
    await ok("kubectl apply -f samples/bookinfo/networking/bookinfo-gateway.yaml");
    // Replaces https://zhaohuabing.com/download/ambient/{sleep,notsleep}.yaml.
    await ok("kubectl apply -f samples/sleep/sleep.yaml");
    await ok("kubectl apply -f samples/sleep/notsleep.yaml");
    // An option of our sample selects the older page.
    await ok("kubectl set env deployment/productpage-v1 BOOKINFO_PAGE=2022");
    await ok(
      "kubectl wait --for=condition=Available deploy --all --timeout=60s && kubectl rollout status deploy/productpage-v1 --timeout=60s",
    );
    page = `http://${(await ok("kubectl -n istio-system get svc istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'")).trim()}/productpage`;
    await eventually(
      "the page is served",
      async () => await guide.shows(`curl -s -m 2 ${page}`, "<title>Simple Bookstore App</title>"),
    );
  });

  step("labelling the namespace enrols it under load, and the CNI agent's log shows a route for each pod", async () => {
    await underLoad(async () => {
      await ok("kubectl label namespace default istio.io/dataplane-mode=ambient");
      await eventually(
        "every pod is enrolled",
        async () =>
          (await ok(`kubectl get pods -o jsonpath='{.items[*].metadata.annotations.ambient\\.istio\\.io/redirection}'`))
            .trim()
            .split(" ").length === 8,
      );
    });
    const node = await nodeOf("default", "app=productpage");
    const agent = (
      await ok(
        `kubectl -n istio-system get pod -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node} -o jsonpath='{.items[0].metadata.name}'`,
      )
    ).trim();
    // The source is the node's address in its pod range or, if the cluster gives nodes none, the node's own address.
    assert.match(
      await ok(`kubectl logs ${agent} -n istio-system|grep route`),
      /info\tambient\tAdding route for productpage-v1-\S+\/default: \[table 100 10\.244\.\d+\.\d+\/32 via 192\.168\.126\.2 dev istioin src 10\.24[04]\.\d+\.\d+\]/,
    );
  });

  step("a request goes from ztunnel to ztunnel, without a waypoint", async () => {
    await title();
    const outbound = await ztunnelOn(await nodeOf("default", "app=sleep"));
    const inbound = await ztunnelOn(await nodeOf("default", "app=productpage"));
    await eventually(
      "the sender's log says so",
      async () =>
        await guide.shows(
          `kubectl -n istio-system logs ${outbound} -cistio-proxy --tail 5`,
          /spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep_to_http_productpage\.default\.svc\.cluster\.local_outbound_internal .* capture outbound \(no waypoint proxy\)/,
        ),
    );
    await eventually(
      "the receiver's log says so",
      async () =>
        await guide.shows(
          `kubectl -n istio-system logs ${inbound} -cistio-proxy --tail 5`,
          /"CONNECT - HTTP\/2" 200 .* inbound hcm/,
        ),
    );
  });

  step("a Gateway of class istio-mesh makes the waypoint of the productpage's account, under load", async () => {
    await underLoad(async () => {
      await ok(waypoint("productpage", "bookinfo-productpage"));
      await eventually(
        "the waypoint runs",
        async () =>
          await guide.shows(
            "kubectl get pod|grep waypoint",
            /^bookinfo-productpage-waypoint-proxy-\S+\s+1\/1\s+Running/m,
          ),
        60_000,
      );
      await new Promise((resolve) => setTimeout(resolve, 1000));
    });
    await title();
  });

  step("the logs show the path through the waypoint", async () => {
    const sender = await ztunnelOn(await nodeOf("default", "app=sleep"));
    const receiver = await ztunnelOn(await nodeOf("default", "app=productpage"));
    const pod =
      (
        await ok(
          "kubectl get pod -l gateway.networking.k8s.io/gateway-name=productpage -o jsonpath='{.items[0].metadata.name}' 2>/dev/null || true",
        )
      ).trim() || (await ok("kubectl get pod -o name|grep bookinfo-productpage-waypoint-proxy")).trim();
    await title();
    await eventually(
      "to the waypoint",
      async () =>
        await guide.shows(
          `kubectl -n istio-system logs ${sender} -cistio-proxy --tail 5`,
          /sleep_to_server_waypoint_proxy_spiffe:\/\/cluster\.local\/ns\/default\/sa\/bookinfo-productpage .* capture outbound \(to server waypoint proxy\)/,
        ),
    );
    await eventually(
      "in the waypoint",
      async () =>
        await guide.shows(
          `kubectl logs ${pod} --tail 10`,
          /"GET \/ HTTP\/1\.1" 200 .* inbound-vip\|9080\|http\|productpage\.default\.svc\.cluster\.local /,
        ),
    );
    await eventually(
      "from the waypoint",
      async () =>
        await guide.shows(
          `kubectl -n istio-system logs ${receiver} -cistio-proxy --tail 5`,
          /"CONNECT - HTTP\/2" 200 .* inbound hcm/,
        ),
    );
  });

  step("the reviews get a waypoint, subsets and weights under load, and about one in ten is v2", async () => {
    await underLoad(async () => {
      await ok(waypoint("reviews", "bookinfo-reviews"));
      await eventually(
        "the waypoint runs",
        async () =>
          await guide.shows("kubectl get pod|grep waypoint", /^bookinfo-reviews-waypoint-proxy-\S+\s+1\/1\s+Running/m),
        60_000,
      );
      await ok(`kubectl apply -f - <<EOF
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  trafficPolicy:
    loadBalancer:
      simple: RANDOM
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
  - name: v3
    labels:
      version: v3
EOF`);
      await ok(`kubectl apply -f - <<EOF
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
    - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v1
      weight: 90
    - destination:
        host: reviews
        subset: v2
      weight: 10
EOF`);
      await new Promise((resolve) => setTimeout(resolve, 1500));
    });
    const ten = await ok(
      `kubectl exec -it deploy/sleep -- sh -c 'for i in $(seq 1 10); do curl -s http://istio-ingressgateway.istio-system/productpage | grep reviews-v.-; done'`,
    );
    const lines = ten.split("\n").filter((line) => /^\s*<u>reviews-v[12]-\S+<\/u>\r?$/.test(line));
    assert.equal(lines.length, 10, ten);
    const many = await ok(
      `kubectl exec deploy/sleep -- sh -c 'curl -s "http://istio-ingressgateway.istio-system/productpage?[1-300]" | grep -o reviews-v.-'`,
    );
    const v2 = many.split("\n").filter((line) => line === "reviews-v2-").length;
    assert.equal(many.trim().split("\n").length, 300);
    // With 300 answers at 10 %, chance gives fewer than 14 or more than 49 once in a thousand runs.
    assert.ok(v2 >= 14 && v2 <= 49, `${v2} of 300 were answered by v2`);
    assert.ok(!many.includes("reviews-v3-"));
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`seed 001, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    walkthrough(kubectl),
  );
