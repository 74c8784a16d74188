// A waypoint of class `istio-waypoint`, from the creation of its Gateway to its deletion: routes, policies, and no lost
// request.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
import { underStandingLoad } from "../support/standing-load.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const apply = (yaml: string): string => `kubectl apply -f - <<EOF\n${yaml}\nEOF`;

const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: waypoint
spec:
  gatewayClassName: istio-waypoint
  listeners:
  - {name: mesh, port: 15008, protocol: HBONE}`;

const routes = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v3}}]
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 50}
    - {destination: {host: reviews, subset: v2}, weight: 50}`;

const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews}
spec:
  targetRefs: [{group: "", kind: Service, name: reviews}]
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/sleep]}}]
    to: [{operation: {methods: [GET]}}]`;

const byHttpRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews, port: 9080}]
  rules:
  - backendRefs: [{name: reviews, port: 9080, weight: 50}, {name: ratings, port: 9080, weight: 50}]`;

function waypoint(kubectl: Kubectl): void {
  const guide = new Walkthrough("waypoint", kubectl);
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));
  const addressesOf = async (selector: string, field = ""): Promise<string[]> =>
    (
      await ok(
        `kubectl get pods -A -l '${selector}' -o jsonpath='{range .items[*]}{.status.podIP} ${field}{"\\n"}{end}'`,
      )
    )
      .trim()
      .split("\n");
  /**
   * Waits until every pilot has read the object's present version, and every proxy has acknowledged what follows from
   * it.
   */
  const acknowledged = async (group: string, kind: string, name: string): Promise<void> => {
    const version = await ok(`kubectl get ${kind.toLowerCase()} ${name} -o jsonpath='{.metadata.resourceVersion}'`);
    for (const pilot of await addressesOf("app=istiod")) {
      const command = `curl -s -H "authorization: Bearer $(kubectl -n istio-system create token default --audience istio-ca)" "http://${pilot.trim()}:8080/debug/serin/acknowledged?group=${group}&kind=${kind}&namespace=default&name=${name}&resourceVersion=${version}"`;
      assert.equal(
        (await ok(`curl -s -o /dev/null -w '%{http_code}' http://${pilot.trim()}:8080/debug/serin/proxies`)).trim(),
        "401",
        "nobody is told without proof of who asks",
      );
      await eventually(`${kind} ${name} is acknowledged`, async () => {
        const { processed, proxies } = JSON.parse(await ok(command)) as {
          processed: boolean;
          proxies: readonly { connected: boolean; acknowledged: boolean }[];
        };
        return processed && proxies.every((proxy) => proxy.acknowledged || !proxy.connected);
      });
    }
  };
  /**
   * Sends so many requests, each over a new connection, and counts them by the waypoint's pods, which `field`
   * identifies.
   */
  const divided = async (requests: number, field: string): Promise<Record<string, number>> => {
    const count = async (): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const line of await addressesOf("gateway.networking.k8s.io/gateway-class-name=istio-waypoint", field)) {
        const [address = "", name = ""] = line.split(" ");
        const metrics = await ok(`curl -s http://${address}:15020/stats/prometheus`);
        counts[name] = [...metrics.matchAll(/^istio_requests_total\{.*\} (\d+)$/gm)].reduce(
          (sum, [, value]) => sum + Number(value ?? 0),
          counts[name] ?? 0,
        );
      }
      return counts;
    };
    const before = await count();
    await ok(
      `kubectl exec deploy/sleep -- curl -s -m 5 -o /dev/null -H "Connection: close" "http://reviews:9080/health?[1-${requests}]"`,
    );
    return Object.fromEntries(
      Object.entries(await count()).map(([name, value]) => [name, value - (before[name] ?? 0)]),
    );
  };
  const curl = async (args: string): Promise<string> => await ok(`kubectl exec deploy/sleep -- curl -s -m 5 ${args}`);
  /**
   * Makes a change while requests come over one connection that is kept and over new ones. All must get the status 200.
   */
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    const kept = ok(
      `kubectl exec deploy/sleep -- sh -c 'curl -s -m 5 -o /dev/null -w "%{http_code}%{errormsg}\\n" --rate 20/s "http://reviews:9080/health?[1-120]"'`,
    );
    const anew = ok(
      `kubectl exec deploy/sleep -- sh -c 'curl -s -m 5 -o /dev/null -w "%{http_code}%{errormsg}\\n" -H "Connection: close" --rate 10/s "http://reviews:9080/health?[1-60]"'`,
    );
    await change();
    const codes = (await Promise.all([kept, anew])).join("").trim().split("\n");
    assert.equal(codes.length, 180);
    assert.deepEqual(
      codes.filter((code) => code !== "200"),
      [],
    );
  };

  before(async () => {
    const created = await guide.lab.createOneNode();
    assert.equal(created.code, 0, created.output);
    await guide.run("release", "export", guide.lab.directory);
    await ok("./bin/istioctl install --set profile=ambient -y");
    await ok("kubectl label namespace default istio.io/dataplane-mode=ambient");
    await ok("kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml -f samples/sleep/sleep.yaml");
    await ok("kubectl wait --for=condition=Available deploy --all --timeout=60s");
    await eventually(
      "every pod is enrolled",
      async () =>
        (await ok(`kubectl get pods -o jsonpath='{.items[*].metadata.annotations.ambient\\.istio\\.io/redirection}'`))
          .trim()
          .split(" ").length === 7,
    );
  });
  after(async () => await guide.lab.delete());

  step("it starts, takes a service's requests and leaves, under load", async () => {
    await underLoad(async () => {
      await ok("kubectl label service reviews istio.io/use-waypoint=waypoint");
      await ok(apply(gateway));
      await ok("kubectl wait --for=condition=Programmed gateway/waypoint --timeout=30s");
      await eventually("it answers", async () =>
        /server: istio-envoy/.test(await curl("-i http://reviews:9080/health")),
      );
      await ok("kubectl delete gateway waypoint");
    });
    assert.doesNotMatch(await curl("-i http://reviews:9080/health"), /server: istio-envoy/);
  });

  step("it is restarted under load", async () => {
    await ok(apply(gateway));
    await eventually("it answers", async () => /server: istio-envoy/.test(await curl("-i http://reviews:9080/health")));
    await underLoad(
      async () =>
        void (await ok(
          "kubectl rollout restart deploy/waypoint && kubectl rollout status deploy/waypoint --timeout=60s",
        )),
    );
  });

  step("it moves to another revision by weight, under load, and keeps its Gateway and Service", async () => {
    await ok(
      "./bin/istioctl install --set profile=ambient --set revision=next --set components.cni.enabled=false --set components.ztunnel.enabled=false -y",
    );
    await ok("kubectl apply -f samples/streams/streams.yaml && kubectl rollout status deploy/streams --timeout=60s");
    await ok("kubectl label service streams istio.io/use-waypoint=waypoint");
    await acknowledged("", "Service", "streams");
    const annotate = async (...annotations: readonly string[]): Promise<void> => {
      await ok(
        `kubectl annotate --overwrite gateway waypoint ${annotations.map((one) => `rollout.serin.dev/${one}`).join(" ")}`,
      );
      await acknowledged("gateway.networking.k8s.io", "Gateway", "waypoint");
    };
    const address = await ok("kubectl get service waypoint -o jsonpath='{.spec.clusterIP} {.metadata.uid}'");
    const byRevision = (requests: number): Promise<Record<string, number>> =>
      divided(requests, "{.metadata.labels.istio\\.io/rev}");
    const requests = await underStandingLoad(
      guide,
      { clients: ["deploy/sleep"], url: "http://reviews:9080/health", streams: { host: "streams", seconds: 40 } },
      async () => {
        await annotate("canary-revision=next", "canary-replicas=2", "canary-weight=0");
        await eventually(
          "the canary is there",
          async () => await guide.shows("kubectl rollout status deploy/waypoint-next --timeout=30s", "successfully"),
        );
        assert.equal((await byRevision(40))["next"], 0);
        await annotate("canary-weight=10");
        const tenth = await byRevision(200);
        // All requests over the kept connection go to one revision, so the bounds are wide.
        assert.ok((tenth["next"] ?? 0) > 4 && (tenth["next"] ?? 0) < (tenth["default"] ?? 0), JSON.stringify(tenth));
        await annotate("canary-weight=100");
        assert.ok(((await byRevision(40))["next"] ?? 0) >= 40);
        await ok("kubectl label gateway waypoint istio.io/rev=next");
        await eventually(
          "its own pods are of the new revision",
          async () =>
            await guide.shows(
              "kubectl get deploy waypoint -o jsonpath='{.spec.template.metadata.labels.istio\\.io/rev}'",
              "next",
            ),
        );
        await ok("kubectl rollout status deploy/waypoint --timeout=60s");
        await annotate("canary-revision-", "canary-replicas-", "canary-weight-");
        await eventually(
          "the canary is gone",
          async () => !(await guide.shows("kubectl get deploy waypoint-next", "waypoint-next")),
        );
      },
    );
    assert.ok(requests > 50, `${requests} requests`);
    assert.equal(await ok("kubectl get service waypoint -o jsonpath='{.spec.clusterIP} {.metadata.uid}'"), address);
    await eventually(
      "only its own pods are left, of the new revision",
      async () =>
        (await addressesOf("gateway.networking.k8s.io/gateway-name=waypoint", "{.metadata.labels.istio\\.io/rev}"))
          .map((line) => line.split(" ")[1])
          .join() === "next",
      60_000,
    );
  });

  step("a Service's connections are divided between two waypoints by their weights, under load", async () => {
    await ok(apply(gateway.replace("name: waypoint", "name: second")));
    await ok("kubectl wait --for=condition=Programmed gateway/second --timeout=30s");
    const byGateway = (requests: number): Promise<Record<string, number>> =>
      divided(requests, "{.metadata.labels.gateway\\.networking\\.k8s\\.io/gateway-name}");
    const weigh = async (weight: number): Promise<void> => {
      await ok(`kubectl annotate --overwrite service reviews istio.io/use-waypoint-canary-weight=${weight}`);
      await acknowledged("", "Service", "reviews");
    };
    await underLoad(async () => {
      await weigh(0);
      await ok("kubectl label service reviews istio.io/use-waypoint-canary=second");
      await acknowledged("", "Service", "reviews");
      await weigh(50);
      const half = await byGateway(100);
      assert.ok((half["second"] ?? 0) > 20 && (half["waypoint"] ?? 0) > 20, JSON.stringify(half));
      await weigh(0);
      await ok("kubectl label service reviews istio.io/use-waypoint-canary-");
      await ok("kubectl delete gateway second");
    });
    await ok("kubectl annotate service reviews istio.io/use-waypoint-canary-weight-");
  });

  step("it routes as a VirtualService or an HTTPRoute says", async () => {
    await ok(apply(routes));
    const versions = async (args: string): Promise<string[]> =>
      [...(await curl(`${args} "http://reviews:9080/reviews/0?[1-40]"`)).matchAll(/"podname":"reviews-(v\d)/g)].map(
        ([, version]) => version ?? "",
      );
    await eventually("the rule has come", async () => !(await versions("")).includes("v3"));
    assert.deepEqual([...new Set(await versions(""))].sort(), ["v1", "v2"]);
    assert.deepEqual([...new Set(await versions("-H end-user:jason"))], ["v3"]);
    await ok("kubectl delete virtualservice reviews");
    await ok(apply(byHttpRoute));
    // Only ratings has this path.
    await eventually("the route has come", async () =>
      /404/.test(await curl(`-o /dev/null -w '%{http_code}\\n' "http://reviews:9080/ratings/0?[1-20]"`)),
    );
    assert.match(await curl(`-o /dev/null -w '%{http_code}\\n' "http://reviews:9080/ratings/0?[1-40]"`), /200/);
    await ok("kubectl delete httproute reviews");
  });

  step("it enforces rules that need the request's content", async () => {
    await ok(apply(policy));
    await eventually(
      "others are denied",
      async () => (await curl("-o /dev/null -w '%{http_code}' -X POST http://reviews:9080/reviews/0")) === "403",
    );
    assert.equal(await curl("-o /dev/null -w '%{http_code}' http://reviews:9080/reviews/0"), "200");
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined)
  describe(`a waypoint, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () => waypoint(kubectl));
