// The walkthrough "Istio canary upgrade guide" (seed 003), with Banzai Cloud's operators: every command in its order.
// Only the URLs of the chart repository and of the sample files, and the line that creates the cluster, are replaced.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { root, serin } from "../support/lab-cluster.ts";
import { PodLoad } from "../support/pod-load.ts";
import { SeedGuide } from "../support/walkthrough.ts";

const helm = join(root, ".cache/helm/helm-3");

/**
 * The guide's pods are ready when they start, because its echoserver listens at once. Ours needs a second or more on a
 * real node, so all three attempts of a request could come too early.
 */
const readiness = `
        readinessProbe:
          periodSeconds: 1
          httpGet: { path: /, port: 8080 }`;

const app = (name: string, isGiven: boolean): string => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-${name}
  labels:
    k8s-app: app-${name}
  namespace: demo-${name}
spec:
  replicas: 1
  selector:
    matchLabels:
      k8s-app: app-${name}
  template:
    metadata:
      labels:
        k8s-app: app-${name}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: echo-service
        image: k8s.gcr.io/echoserver:1.10
        ports:
        - containerPort: 8080${isGiven ? readiness : ""}
---
apiVersion: v1
kind: Service
metadata:
  name: app-${name}
  labels:
    k8s-app: app-${name}
  namespace: demo-${name}
spec:
  ports:
  - name: http
    port: 80
    targetPort: 8080
  selector:
    k8s-app: app-${name}
`;

/** A client of both apps that stays as it is, with its sidecar, while the other pods restart. */
const client = `apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: load
  labels: { app: client }
spec:
  containers:
  - name: client
    image: curlimages/curl
    command: [/bin/sleep, infinity]
`;

function walkthrough(kubectl: Kubectl): void {
  const guide = new SeedGuide("pipeline", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const samples = "samples/banzai";
  let charts: { stop(): Promise<void>; url: string } | undefined;
  const hasHelm = existsSync(helm);

  /** The guide's test in both directions, between the newest pods of the apps. */
  const talkToEachOther = async (): Promise<void> => {
    for (const [from, to] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const pod = (
        await ok(`kubectl get pods -n demo-${from} -l k8s-app=app-${from} -o=jsonpath='{.items[0].metadata.name}'`)
      ).trim();
      const answer = await ok(
        `kubectl exec -n=demo-${from} -ti -c echo-service ${pod} -- curl -Ls -o /dev/null -w "%{http_code}" app-${to}.demo-${to}.svc.cluster.local`,
      );
      // kubectl first says that its input is no terminal.
      assert.match(answer, /(^|\n)200\s*$/);
    }
  };
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    const urls = ["app-a.demo-a.svc.cluster.local", "app-b.demo-b.svc.cluster.local"];
    const load = new PodLoad(guide.lab, { namespace: "load", workload: "pod/client", container: "client", urls });
    await changeUnderLoad(load, change);
  };
  const oldPodsGone = async (namespace: string): Promise<void> =>
    void (await eventually(
      `one pod in ${namespace}`,
      async () => (await ok(`kubectl -n ${namespace} get pods --no-headers`)).trim().split("\n").length === 1,
      60_000,
    ));

  before(async () => {
    if (process.env["CI"] === "true") assert.ok(hasHelm, "scripts/fetch/helm.sh puts helm into .cache/helm");
    await guide.create();
    await guide.run("release", "export", guide.lab.directory);
    await ok(`mkdir -p ~/bin${hasHelm ? ` && ln -sf ${helm} ~/bin/helm` : ""}`);
  });
  after(async () => {
    await charts?.stop();
    await guide.lab.delete();
  });

  /** Installs with helm, as the guide does. On a machine without helm, applies the same objects with kubectl. */
  const installOperator = async (release: string, set: string): Promise<void> => {
    if (hasHelm)
      await ok(
        `~/bin/helm install ${release} --create-namespace --namespace=istio-system ${set} banzaicloud-stable/istio-operator`,
      );
    else
      await ok(
        `kubectl create namespace istio-system --dry-run=client -o yaml | kubectl apply -f - && ${serin} charts template ${release} istio-operator --namespace istio-system ${set} | kubectl apply -n istio-system -f -`,
      );
  };

  step(
    `the chart repository is added (${hasHelm ? "real helm" : "no helm here: the rendered objects by kubectl"})`,
    async () => {
      if (!hasHelm) return;
      const child = guide.lab.spawnInShell([serin, "charts", "serve", "--port", "8879"]);
      charts = {
        url: "http://127.0.0.1:8879",
        stop: async () => {
          if (child.exitCode !== null) return;
          child.kill("SIGTERM");
          await new Promise((resolve) => child.once("close", resolve));
        },
      };
      await eventually(
        "the charts are served",
        async () => await guide.shows("curl -s -m 2 http://127.0.0.1:8879/index.yaml", "istio-operator"),
      );
      // Replaces https://kubernetes-charts.banzaicloud.com.
      await ok(`~/bin/helm repo add banzaicloud-stable ${charts.url}`);
    },
  );

  step("the operator for 1.6 and its control plane start", async () => {
    await installOperator(
      "istio-operator-v16x",
      "--set-string operator.image.tag=0.6.12 --set-string istioVersion=1.6",
    );
    await eventually(
      "the operator runs",
      async () => await guide.shows("kubectl get po -n=istio-system", /^istio-operator-v16x-0\s+2\/2\s+Running\s/m),
      60_000,
    );
    // Replaces https://raw.githubusercontent.com/banzaicloud/istio-operator/release-1.6/config/samples/istio_v1beta1_istio.yaml.
    await ok(`kubectl apply -n istio-system -f ${samples}/1.6/istio_v1beta1_istio.yaml`);
    await eventually(
      "istiod and the gateway run",
      async () => {
        const pods = await ok("kubectl get po -n=istio-system");
        return (
          /^istio-ingressgateway-[0-9a-z]+-[0-9a-z]{5}\s+1\/1\s+Running\s/m.test(pods) &&
          /^istiod-[0-9a-z]+-[0-9a-z]{5}\s+1\/1\s+Running\s/m.test(pods)
        );
      },
      90_000,
    );
    await eventually(
      "the object says so",
      async () => await guide.shows("kubectl get istio -n istio-system istio-sample", /Available/),
      60_000,
    );
  });

  step("two namespaces join the mesh by autoInjectionNamespaces", async () => {
    await ok("kubectl create ns demo-a && kubectl create ns demo-b");
    await ok(
      `kubectl patch istio -n istio-system istio-sample --type=json -p='[{"op": "replace", "path": "/spec/autoInjectionNamespaces", "value": ["demo-a", "demo-b"]}]'`,
    );
    await eventually("both are labelled", async () => {
      const output = await ok("kubectl get ns demo-a demo-b -L istio-injection");
      return (
        /^NAME\s+STATUS\s+AGE\s+ISTIO-INJECTION$/m.test(output) &&
        /^demo-a\s+Active\s+\S+\s+enabled$/m.test(output) &&
        /^demo-b\s+Active\s+\S+\s+enabled$/m.test(output)
      );
    });
  });

  step("the two apps run with sidecars and reach each other", async () => {
    for (const name of ["a", "b"]) {
      writeFileSync(join(guide.lab.directory, `app-${name}.yaml`), app(name, guide.given !== undefined));
      await ok(
        `kubectl apply -f app-${name}.yaml && kubectl -n demo-${name} rollout status deployment/app-${name} --timeout=90s`,
      );
      assert.match(await ok(`kubectl -n demo-${name} get pods --no-headers`), /\s2\/2\s+Running\s/);
    }
    await talkToEachOther();
    writeFileSync(join(guide.lab.directory, "client.yaml"), client);
    await ok(
      "kubectl create ns load && kubectl label ns load istio-injection=enabled && kubectl apply -f client.yaml && kubectl -n load wait --for=condition=Ready pod/client --timeout=60s",
    );
  });

  step("the operator for 1.7 and its control plane start beside them", async () => {
    await underLoad(async () => {
      await installOperator("istio-operator-v17x", "--set-string operator.image.tag=0.7.12");
      await eventually(
        "the operator runs",
        async () => await guide.shows("kubectl get po -n=istio-system", /^istio-operator-v17x-0\s+2\/2\s+Running\s/m),
        60_000,
      );
      // Replaces https://raw.githubusercontent.com/banzaicloud/istio-operator/release-1.7/config/samples/istio_v1beta1_istio.yaml.
      await ok(`kubectl apply -n istio-system -f ${samples}/1.7/istio_v1beta1_istio.yaml`);
      await eventually(
        "its istiod runs",
        async () =>
          await guide.shows(
            "kubectl get po -n=istio-system",
            /^istiod-istio-sample-v17x-[0-9a-z]+-[0-9a-z]{5}\s+1\/1\s+Running\s/m,
          ),
        90_000,
      );
    });
    const pods = await ok("kubectl get po -n=istio-system --no-headers");
    assert.equal(pods.trim().split("\n").length, 5, pods);
  });

  step("the ingress gateway moves to 1.7 and keeps its Service and address", async () => {
    const service =
      "kubectl get svc -n istio-system istio-ingressgateway -o jsonpath='{.metadata.uid} {.status.loadBalancer.ingress[0].ip}'";
    const before = await ok(service);
    await underLoad(async () => {
      await ok(
        `kubectl patch mgw -n istio-system istio-ingressgateway --type=json -p='[{"op": "replace", "path": "/spec/istioControlPlane/name", "value": "istio-sample-v17x"}]'`,
      );
      await eventually(
        "its pods are of 1.7",
        async () => {
          const images = await ok(
            "kubectl get pods -n istio-system -l app=istio-ingressgateway -o jsonpath='{.items[*].spec.containers[*].image}'",
          );
          return images.includes("proxyv2:1.7.7") && !images.includes("proxyv2:1.6");
        },
        90_000,
      );
    });
    assert.equal(await ok(service), before);
    // Leave the 1.6 operator time to revert the change, which it must not do.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.equal(
      await ok("kubectl get mgw -n istio-system istio-ingressgateway -o jsonpath='{.spec.istioControlPlane.name}'"),
      "istio-sample-v17x",
    );
  });

  for (const name of ["a", "b"]) {
    step(`namespace demo-${name} moves to 1.7, and no request fails`, async () => {
      await underLoad(async () => {
        await ok(`kubectl label ns demo-${name} istio-injection- istio.io/rev=istio-sample-v17x.istio-system`);
        const labels = await ok(`kubectl get ns demo-${name} -L istio-injection -L istio.io/rev`);
        assert.match(labels, /^NAME\s+STATUS\s+AGE\s+ISTIO-INJECTION\s+REV$/m);
        assert.match(
          labels,
          new RegExp(`^demo-${name}\\s+Active\\s+\\S+\\s{10,}istio-sample-v17x\\.istio-system$`, "m"),
        );
        await ok(`kubectl rollout restart deployment -n demo-${name}`);
        await ok(`kubectl -n demo-${name} rollout status deployment/app-${name} --timeout=90s`);
        await oldPodsGone(`demo-${name}`);
      });
      const images = await ok(
        `POD=$(kubectl get pods -n demo-${name} -l k8s-app=app-${name} -o=jsonpath='{.items[0].metadata.name}') && kubectl get po -n=demo-${name} $POD -o yaml | grep istio/proxyv2:`,
      );
      assert.match(images, /^( {4,}(- )?image: docker\.io\/istio\/proxyv2:1\.7\.7\n){4}$/);
      await talkToEachOther();
      // Leave the 1.6 operator time to label the namespace again, which it must not do.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.doesNotMatch(await ok(`kubectl get ns demo-${name} --show-labels`), /istio-injection=/);
    });
  }

  step("the 1.6 control plane and its operator are removed; the moved gateway and the apps stay", async () => {
    const operators = ["istio-system:istio-operator-v16x", "istio-system:istio-operator-v17x"];
    const pilots = ["istiod-service-account", "istiod-service-account-istio-sample-v17x"].map(
      (name) => `istio-system:${name}`,
    );
    // Check the rights before the removal, because an istiod that ends has already lost its roles.
    await guide.requireLeastRights({ accounts: [...operators, ...pilots], compared: operators });
    await ok(
      "kubectl label ns load istio-injection- istio.io/rev=istio-sample-v17x.istio-system --overwrite && kubectl -n load delete pod client --wait=true && kubectl apply -f client.yaml && kubectl -n load wait --for=condition=Ready pod/client --timeout=60s",
    );
    await underLoad(async () => {
      await ok(`kubectl delete -n istio-system -f ${samples}/1.6/istio_v1beta1_istio.yaml`);
      if (hasHelm) await ok("~/bin/helm uninstall -n=istio-system istio-operator-v16x");
      else
        await ok(
          `${serin} charts template istio-operator-v16x istio-operator --namespace istio-system --set-string operator.image.tag=0.6.12 --set-string istioVersion=1.6 --skip-crds | kubectl delete -n istio-system -f -`,
        );
      await eventually(
        "only 1.7 is left",
        async () => {
          const pods = await ok("kubectl get po -n=istio-system --no-headers");
          return pods.trim().split("\n").length === 3 && !pods.includes("v16x");
        },
        90_000,
      );
    });
    const pods = await ok("kubectl get po -n=istio-system");
    assert.match(pods, /^istio-ingressgateway-\S+\s+1\/1\s+Running/m);
    assert.match(pods, /^istio-operator-v17x-0\s+2\/2\s+Running/m);
    assert.match(pods, /^istiod-istio-sample-v17x-\S+\s+1\/1\s+Running/m);
    await talkToEachOther();
    await ok("kubectl get crd istios.istio.banzaicloud.io meshgateways.istio.banzaicloud.io");
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`seed 003, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    walkthrough(kubectl),
  );
