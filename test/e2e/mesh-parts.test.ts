// Rollouts change the mesh's own parts under load: the CA's root stage by stage, the CNI agent node by node, and
// ztunnel by pod, by namespace and by node. No request fails and no connection is closed.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { EnrolledReport, RootsReport } from "../../src/api/serin/index.ts";
import { elsewhere } from "../support/expected-calls.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { underStandingLoad } from "../support/standing-load.ts";
import { Walkthrough } from "../support/walkthrough.ts";
import { walkPorts, type WalkedPod } from "../support/walk-ports.ts";

const kind = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: mesh-parts
nodes:
- role: control-plane
- role: worker`;

const waypoint = `kubectl apply -f - <<EOF
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint}
spec:
  gatewayClassName: istio-waypoint
  listeners:
  - {name: mesh, port: 15008, protocol: HBONE}
EOF`;

const slowMs = 90_000;

function meshParts(kubectl: Kubectl): void {
  const guide = new Walkthrough("mesh-parts", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const json = async <Value>(url: string): Promise<Value> => JSON.parse(await ok(`curl -s ${url}`)) as Value;
  const addresses = async (selector: string): Promise<string[]> =>
    (await ok(`kubectl get pods -A -l '${selector}' -o jsonpath='{.items[*].status.podIP}'`)).trim().split(" ");
  const load = async (seconds: number, body: () => Promise<void>): Promise<void> => {
    const clients = ["deploy/sleep", "-n cars deploy/sleep"];
    const requests = await underStandingLoad(
      guide,
      { clients, url: "http://reviews.default:9080/health", streams: { host: "streams.default", seconds } },
      body,
    );
    // How many requests there are depends on the machine's speed.
    assert.ok(requests > 20, `${requests} requests`);
  };

  before(async () => {
    const created = await guide.lab.create(kind);
    assert.equal(created.code, 0, created.output);
    await guide.run("release", "export", guide.lab.directory);
    await ok("./bin/istioctl install --set profile=ambient --set values.ztunnel.env.ZTUNNEL_WORKER_THREADS=2 -y");
    await ok(
      "kubectl label namespace default istio.io/dataplane-mode=ambient && kubectl create namespace cars && kubectl label namespace cars istio-injection=enabled",
    );
    await ok(waypoint);
    await ok(
      "kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml -f samples/sleep/sleep.yaml -f samples/streams/streams.yaml && kubectl apply -n cars -f samples/sleep/sleep.yaml",
    );
    await ok("kubectl label service reviews istio.io/use-waypoint=waypoint");
    await ok("kubectl wait --for=condition=Available deploy --all -A --timeout=90s");
  });
  after(async () => await guide.lab.delete());

  step(
    "every port that listens stands in the table of docs/security.md, and answers whom the table names",
    async () => {
      const node = async (selector: string): Promise<string> =>
        (await ok(`kubectl get nodes -l '${selector}' -o jsonpath='{.items[0].status.addresses[0].address}'`)).trim();
      const ofDefault = (selector: string): WalkedPod => ({ namespace: "default", selector });
      await walkPorts({
        ok,
        processes: () => guide.lab.processes(),
        elsewhere,
        sleepImage: "curlimages/curl",
        captured: ofDefault("app=details"),
        inside: ofDefault("app=sleep"),
        another: { namespace: "cars", selector: "app=sleep" },
        waypoint: ofDefault("gateway.networking.k8s.io/gateway-name=waypoint"),
        // The called node is that of the API server.
        nodes: {
          called: await node("node-role.kubernetes.io/control-plane"),
          calling: await node("!node-role.kubernetes.io/control-plane"),
        },
      });
    },
  );

  step(
    "the CA's root changes stage by stage: data planes trust both, are signed by the next, and forget the old one",
    async () => {
      const planes = await Promise.all(
        ["app=ztunnel", "gateway.networking.k8s.io/gateway-name=waypoint", "security.istio.io/tlsMode=istio"].map(
          addresses,
        ),
      );
      assert.ok(
        planes.every((found) => found.every((address) => address !== "")),
        JSON.stringify(planes),
      );
      const [pilot = ""] = await addresses("app=istiod");
      const report = async (): Promise<RootsReport> =>
        await json(
          `-H "authorization: Bearer $(kubectl -n istio-system create token default --audience istio-ca)" http://${pilot}:8080/debug/serin/roots`,
        );
      const stage = async (name: "trust" | "issue" | "only" | "done"): Promise<void> => {
        await ok(
          `kubectl annotate --overwrite -n istio-system secret istio-ca-next rollout.serin.dev/ca-stage=${name}`,
        );
        await eventually(
          `the pilot is at ${name}`,
          async () => (await report()).stage === (name === "done" ? "none" : name),
        );
      };
      /**
       * The values of a root's metric, one for each data plane that has certificates. 0 if the data plane does not know
       * the root.
       */
      const values = async (metric: string, root: string): Promise<number[]> => {
        const texts = await Promise.all(
          planes.flat().map(async (address) => await ok(`curl -s http://${address}:15020/stats/prometheus`)),
        );
        const holders = texts.filter((text) => text.includes("serin_certificates{"));
        assert.ok(holders.length >= 3, `${holders.length} data planes hold certificates`);
        return holders.map((text) =>
          Number(new RegExp(`^${metric}\\{root="${root}"\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0),
        );
      };
      const old = (await report()).signing;
      await load(100, async () => {
        await ok("kubectl create secret generic -n istio-system istio-ca-next");
        await stage("trust");
        const next = (await report()).trusted[1] ?? assert.fail("a next root was made");
        await eventually(
          "all trust the next root",
          async () => (await values("serin_trusted_roots", next)).every((value) => value === 1),
          slowMs,
        );
        assert.ok((await values("serin_certificates", old)).every((value) => value > 0));
        await stage("issue");
        assert.equal((await report()).signing, next);
        await eventually(
          "all are signed by the next root",
          async () => (await values("serin_certificates", old)).every((value) => value === 0),
          slowMs,
        );
        assert.ok((await values("serin_certificates", next)).every((value) => value > 0));
        await stage("only");
        await eventually(
          "the old root is trusted no more",
          async () => (await values("serin_trusted_roots", old)).every((value) => value === 0),
          slowMs,
        );
        await stage("done");
      });
      assert.equal(
        await ok(
          "kubectl get secret -n istio-system istio-ca-secret istio-ca-previous --no-headers -o custom-columns=:metadata.name",
        ),
        "istio-ca-secret\nistio-ca-previous\n",
      );
      await guide.fails("kubectl get secret -n istio-system istio-ca-next", /not found/);
    },
  );

  step("the CNI agent is replaced node by node: rules and sockets of enrolled pods stay as they are", async () => {
    const nodes = (
      await ok(`kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}={.status.addresses[0].address} {end}'`)
    )
      .trim()
      .split(" ")
      .map((entry) => entry.split("="));
    const reports = async (): Promise<EnrolledReport[]> =>
      await Promise.all(
        nodes.map(async ([, address]) => await json<EnrolledReport>(`http://${address}:8000/debug/serin/enrolled`)),
      );
    const before = await reports();
    assert.ok(before.reduce((sum, { pods }) => sum + pods.length, 0) >= 8);
    await load(30, async () => {
      await ok(
        `kubectl patch ds -n istio-system istio-cni-node --type=merge -p '{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null},"template":{"metadata":{"annotations":{"rollout":"next"}}}}}'`,
      );
      for (const [index, [node, address]] of nodes.entries()) {
        const name = (
          await ok(
            `kubectl get pods -n istio-system -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node} -o jsonpath='{.items[0].metadata.name}'`,
          )
        ).trim();
        await ok(`kubectl delete pod -n istio-system ${name}`);
        await eventually(
          `the agent of ${node} is another one`,
          async () =>
            await guide.shows(
              `kubectl get pods -n istio-system -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node} -o jsonpath='{.items[*].metadata.annotations.rollout} {.items[*].status.containerStatuses[0].ready}'`,
              "next true",
            ),
        );
        await eventually(
          "it has the pods as they were",
          async () =>
            JSON.stringify((await json<EnrolledReport>(`http://${address}:8000/debug/serin/enrolled`)).pods) ===
            JSON.stringify(before[index]?.pods),
        );
      }
    });
    assert.deepEqual(
      (await reports()).map(({ pods }) => pods),
      before.map(({ pods }) => pods),
    );
  });

  step(
    "pods go to another ztunnel one by one, by namespace and by node, and the old one is left without connections",
    async () => {
      const owners = async (): Promise<string[]> =>
        (
          await ok(
            `kubectl get pods -o jsonpath='{range .items[*]}{.metadata.labels.app} {.metadata.annotations.serin\\.dev/ztunnel-owner}{"\\n"}{end}'`,
          )
        )
          .trim()
          .split("\n")
          .filter((line) => line.includes(" default") || line.includes(" next"))
          .sort();
      const ownedBy = async (condition: string, count: number, revision: string): Promise<void> =>
        void (await eventually(
          condition,
          async () => (await owners()).filter((line) => line.endsWith(` ${revision}`)).length === count,
        ));
      await ok(
        "./bin/istioctl install --set profile=ambient --set revision=next --set components.cni.enabled=false --set values.ztunnel.env.ZTUNNEL_WORKER_THREADS=2 -y",
      );
      const all = (await owners()).length;
      await load(40, async () => {
        await ok("kubectl label pod -l app=reviews serin.dev/ztunnel-rev=next");
        await ownedBy("three pods have moved", 3, "next");
        await ok("kubectl label namespace default serin.dev/ztunnel-rev=next");
        await ownedBy("all of the namespace have moved", all, "next");
        await ok(
          "kubectl label pod -l app=reviews serin.dev/ztunnel-rev- && kubectl label namespace default serin.dev/ztunnel-rev-",
        );
        await ownedBy("all are back", all, "default");
        await ok("kubectl label nodes --all istio.io/rev=next");
        await ownedBy("all of the nodes' pods have moved", all, "next");
      });
      const old = await ok(
        "kubectl get pods -n istio-system -l app=ztunnel,istio.io/rev!=next -o jsonpath='{.items[*].status.podIP}'",
      );
      for (const address of old.trim().split(" ")) {
        await eventually(
          `no connection is left at ${address}`,
          async () =>
            await guide.shows(
              `curl -s http://${address}:15020/metrics`,
              /^serin_ztunnel_connections\{state="draining"\} 0$/m,
            ),
        );
      }
    },
  );

  step("no component requested what its roles refuse, and the roles allow nothing unused", async () => {
    // Look for unused rights only of these accounts. ztunnels and gateways request nothing from the API server, no
    // rollout runs here, and the second istiod does not lead.
    const compared = ["istio-system:istio-cni", "istio-system:istiod"];
    const accounts = [...compared, "istio-system:istiod-next", "serin-system:serin-rollout"];
    await guide.requireLeastRights({ accounts, compared });
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`parts of the mesh, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () =>
    meshParts(kubectl),
  );
