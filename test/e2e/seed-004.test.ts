// The walkthrough "Istio Control Plane Upgrades using Canary Deployments" (seed 004). Its command blocks are lost. They
// were commands from Istio's documentation of that time, and its text describes each of them. Every change happens
// under load.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { SeedGuide } from "../support/walkthrough.ts";

const canaryVersion = "1.31.99";
const namespace = "test-ns";

function walkthrough(kubectl: Kubectl): void {
  const guide = new SeedGuide("raspbernetes", kubectl);
  let page = "";
  const ok = async (line: string, input?: string): Promise<string> => await guide.ok(line, input);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

  /** Makes a change under constant load through the gateway, of which no request may fail. */
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    await changeUnderLoad(new GatewayLoad(guide.lab, page), change);
  };
  const podOf = async (app: string): Promise<string> =>
    (
      await ok(
        `kubectl get pods -n ${namespace} -l app=${app} --field-selector=status.phase=Running --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[-1:].metadata.name}'`,
      )
    ).trim();
  const gatewayPods = async (): Promise<string> =>
    await ok(
      "kubectl -n istio-system get pods -l 'app in (istio-ingressgateway,istio-egressgateway)' -o jsonpath='{.items[*].metadata.uid}'",
    );

  before(async () => {
    await guide.create();
    await guide.lab.addRelease(canaryVersion);
    await guide.run("release", "export", guide.lab.directory);
  });
  after(async () => await guide.lab.delete());

  step(
    "an existing control plane: the demo profile, with ingress and egress gateways, and an app with sidecars",
    async () => {
      await ok("istioctl install --set profile=demo -y");
      await ok(`kubectl create namespace ${namespace} && kubectl label namespace ${namespace} istio-injection=enabled`);
      await ok(
        `kubectl -n ${namespace} apply -f samples/bookinfo/platform/kube/bookinfo.yaml -f samples/bookinfo/networking/bookinfo-gateway.yaml`,
      );
      await ok(`kubectl -n ${namespace} wait --for=condition=Available deploy --all --timeout=90s`);
      const pods = await ok(`kubectl -n ${namespace} get pods --no-headers`);
      for (const line of pods.trim().split("\n")) assert.match(line, /\s2\/2\s+Running\s/);
      const address = (
        await ok(
          "kubectl -n istio-system get svc istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
        )
      ).trim();
      page = `http://${address}/productpage`;
      await eventually(
        "the page is served",
        async () => await guide.shows(`curl -s -m 2 ${page}`, "<title>Simple Bookstore App</title>"),
      );
    },
  );

  step("a canary control plane leaves the gateways in place, and reports it", async () => {
    const before = await gatewayPods();
    await underLoad(async () => {
      const output = await ok(
        `istioctl install --set profile=demo --set revision=canary --set tag=${canaryVersion} -y`,
      );
      assert.match(output, /Istiod installed/);
      assert.match(output, /istio-ingressgateway.*(unchanged|left|stays)/i);
      await ok("kubectl -n istio-system rollout status deployment/istiod-canary --timeout=60s");
    });
    assert.equal(await gatewayPods(), before, "the gateways' pods are the same");
    const pods = await ok("kubectl -n istio-system get pods -l app=istiod --no-headers");
    assert.match(pods, /^istiod-canary-\S+\s+1\/1\s+Running/m);
    assert.match(pods, /^istiod-[0-9a-z]+-[0-9a-z]{5}\s+1\/1\s+Running/m);
    assert.match(await ok("kubectl -n istio-system get svc -l app=istiod"), /istiod-canary/);
    assert.match(await ok("kubectl get mutatingwebhookconfigurations"), /istio-sidecar-injector-canary/);
  });

  step("istio-injection beats istio.io/rev: with both labels, pods stay with the old control plane", async () => {
    await ok(`kubectl label namespace ${namespace} istio.io/rev=canary`);
    await underLoad(async () => {
      await ok(
        `kubectl -n ${namespace} rollout restart deployment/details-v1 && kubectl -n ${namespace} rollout status deployment/details-v1 --timeout=60s`,
      );
    });
    assert.match(
      await ok(
        `istioctl proxy-config endpoints ${await podOf("details")}.${namespace} --cluster xds-grpc -ojson | grep hostname`,
      ),
      /"istiod\.istio-system\.svc"/,
    );
    await ok(`kubectl label namespace ${namespace} istio.io/rev-`);
  });

  step("the labels are changed and the pods restarted, and no request fails", async () => {
    await underLoad(async () => {
      await ok(`kubectl label namespace ${namespace} istio-injection- istio.io/rev=canary`);
      await ok(`kubectl rollout restart deployment -n ${namespace}`);
      for (const deployment of ["details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "productpage-v1"])
        await ok(`kubectl rollout status deployment/${deployment} -n ${namespace} --timeout=120s`);
      await eventually(
        "the old pods are gone",
        async () => (await ok(`kubectl -n ${namespace} get pods --no-headers`)).trim().split("\n").length === 6,
        60_000,
      );
    });
  });

  step("the pods point to the canary, and carry its version", async () => {
    const pod = await podOf("productpage");
    assert.match(
      await ok(`istioctl proxy-config endpoints ${pod}.${namespace} --cluster xds-grpc -ojson | grep hostname`),
      /"hostname": "istiod-canary\.istio-system\.svc"/,
    );
    assert.match(
      await ok(`kubectl -n ${namespace} get pod ${pod} -o yaml | grep image:`),
      new RegExp(`proxyv2:${canaryVersion}`),
    );
    const status = await ok("istioctl proxy-status");
    for (const app of ["productpage", "details", "ratings"])
      assert.match(
        status,
        new RegExp(`${app}-v1-\\S+\\.${namespace}.*istiod-canary-\\S+.*${canaryVersion.replaceAll(".", "\\.")}`),
      );
    assert.match(status, /istio-ingressgateway-\S+\.istio-system.*istiod-[0-9a-z]+-[0-9a-z]{5}\s/);
  });

  step("instead of restarting all deployments, one is scaled, and its new pod tests the canary first", async () => {
    await ok("kubectl create namespace scaled && kubectl label namespace scaled istio-injection=enabled");
    await ok(
      "kubectl -n scaled apply -f samples/sleep/sleep.yaml && kubectl -n scaled rollout status deployment/sleep --timeout=60s",
    );
    await ok("kubectl label namespace scaled istio-injection- istio.io/rev=canary");
    await ok(
      "kubectl -n scaled scale deployment/sleep --replicas=2 && kubectl -n scaled rollout status deployment/sleep --timeout=60s",
    );
    const images = await ok(
      `kubectl -n scaled get pods -o jsonpath='{range .items[*]}{.spec.containers[?(@.name=="istio-proxy")].image}{.spec.initContainers[?(@.name=="istio-proxy")].image}{"\\n"}{end}'`,
    );
    assert.equal(
      images
        .trim()
        .split("\n")
        .filter((image) => image.endsWith(`:${canaryVersion}`)).length,
      1,
      images,
    );
  });

  step("both control planes' data planes talk to each other", async () => {
    const old = (
      await ok(
        `kubectl -n scaled get pods --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[0].metadata.name}'`,
      )
    ).trim();
    for (const path of ["productpage", "api/v1/products"]) {
      assert.equal(
        await ok(
          `kubectl -n scaled exec ${old} -c sleep -- curl -s -o /dev/null -w '%{http_code}' http://productpage.${namespace}:9080/${path}`,
        ),
        "200",
      );
    }
  });

  step("an IstioOperator with spec.revision creates the same control plane by the operator", async () => {
    await ok("istioctl operator init");
    await eventually(
      "the operator runs",
      async () => await guide.shows("kubectl -n istio-operator get pods --no-headers", /1\/1\s+Running/),
    );
    await ok(`kubectl apply -f - <<'EOF'
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata:
  namespace: istio-system
  name: istio-canary-2
spec:
  revision: canary-2
  profile: minimal
  tag: ${canaryVersion}
EOF`);
    await eventually(
      "its control plane runs",
      async () =>
        await guide.shows("kubectl -n istio-system get pods --no-headers", /^istiod-canary-2-\S+\s+1\/1\s+Running/m),
      60_000,
    );
    await eventually(
      "its status is HEALTHY",
      async () =>
        await guide.shows(
          "kubectl -n istio-system get istiooperator istio-canary-2 -o jsonpath='{.status.status}'",
          "HEALTHY",
        ),
      60_000,
    );
    await ok("kubectl -n istio-system delete istiooperator istio-canary-2 --wait=true");
    await eventually(
      "it is gone again",
      async () => !(await guide.shows("kubectl -n istio-system get deploy --no-headers", "istiod-canary-2")),
      60_000,
    );
    const operator = ["istio-operator:istio-operator"];
    await guide.requireLeastRights({ accounts: operator, compared: operator });
  });

  step(
    "`--upgrade-gateways` has the effect that surprised the walkthrough's author, and no request fails",
    async () => {
      const before = await gatewayPods();
      await underLoad(async () => {
        await ok(
          `istioctl install --set profile=demo --set revision=canary --set tag=${canaryVersion} --upgrade-gateways -y`,
        );
        await ok("kubectl -n istio-system rollout status deployment/istio-ingressgateway --timeout=90s");
        await ok("kubectl -n istio-system rollout status deployment/istio-egressgateway --timeout=90s");
      });
      await eventually(
        "every gateway pod is a new one",
        async () => {
          const now = await gatewayPods();
          return before
            .trim()
            .split(" ")
            .every((uid) => !now.includes(uid));
        },
        60_000,
      );
      assert.match(
        await ok("istioctl proxy-status"),
        new RegExp(
          `istio-ingressgateway-\\S+\\.istio-system.*istiod-canary-\\S+.*${canaryVersion.replaceAll(".", "\\.")}`,
        ),
      );
    },
  );

  step(
    "the old control plane is not removed while pods depend on it, and is removed after they have moved",
    async () => {
      const refused = await guide.fails("istioctl uninstall --revision default -y", /scaled/);
      assert.match(refused.output, /--force/);
      await ok(
        "kubectl -n scaled rollout restart deployment/sleep && kubectl -n scaled rollout status deployment/sleep --timeout=60s",
      );
      await eventually(
        "the old pods are gone",
        async () => (await ok("kubectl -n scaled get pods --no-headers")).trim().split("\n").length === 2,
        60_000,
      );
      await underLoad(async () => void (await ok("istioctl uninstall --revision default -y")));
      await eventually(
        "only the canary is left",
        async () =>
          !(await guide.shows(
            "kubectl -n istio-system get pods -l app=istiod --no-headers",
            /^istiod-[0-9a-z]+-[0-9a-z]{5}\s/m,
          )),
      );
    },
  );
}

// One kubectl is enough: seed 000 tests the differences between versions.
const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`seed 004, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    walkthrough(kubectl),
  );
