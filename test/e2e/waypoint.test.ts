// A waypoint of class `istio-waypoint`, from its Gateway to its end: routes, policies, and no request lost on the way.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { kubectls, kubectlVersion, type Kubectl } from "../support/kubectls.ts";
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
  const curl = async (args: string): Promise<string> => await ok(`kubectl exec deploy/sleep -- curl -s -m 5 ${args}`);
  /** Status codes of requests over one kept-alive connection and over new ones, while something changes. */
  const underLoad = async (change: () => Promise<void>): Promise<void> => {
    const kept = ok(`kubectl exec deploy/sleep -- sh -c 'curl -s -m 5 -o /dev/null -w "%{http_code}\\n" --rate 40/s "http://reviews:9080/health?[1-240]"'`);
    const anew = ok(`kubectl exec deploy/sleep -- sh -c 'for i in $(seq 1 100); do curl -s -m 5 -o /dev/null -w "%{http_code}\\n" http://reviews:9080/health; sleep 0.03; done'`);
    await change();
    const codes = (await Promise.all([kept, anew])).join("").trim().split("\n");
    assert.equal(codes.length, 340);
    assert.deepEqual(codes.filter((code) => code !== "200"), []);
  };

  before(async () => {
    const created = await guide.lab.create();
    assert.equal(created.code, 0, created.output);
    await guide.run("release", "export", guide.lab.directory);
    await ok("./bin/istioctl install --set profile=ambient -y");
    await ok("kubectl label namespace default istio.io/dataplane-mode=ambient");
    await ok("kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml -f samples/sleep/sleep.yaml");
    await ok("kubectl wait --for=condition=Available deploy --all --timeout=60s");
    await eventually("every pod is enrolled", async () => (await ok(`kubectl get pods -o jsonpath='{.items[*].metadata.annotations.ambient\\.istio\\.io/redirection}'`)).trim().split(" ").length === 7);
  });
  after(async () => await guide.lab.delete());

  step("it comes, takes a service's requests and leaves, under load", async () => {
    await underLoad(async () => {
      await ok("kubectl label service reviews istio.io/use-waypoint=waypoint");
      await ok(apply(gateway));
      await ok("kubectl wait --for=condition=Programmed gateway/waypoint --timeout=30s");
      await eventually("it answers", async () => /server: istio-envoy/.test(await curl("-i http://reviews:9080/health")));
      await ok("kubectl delete gateway waypoint");
    });
    assert.doesNotMatch(await curl("-i http://reviews:9080/health"), /server: istio-envoy/);
  });

  step("it is restarted under load", async () => {
    await ok(apply(gateway));
    await eventually("it answers", async () => /server: istio-envoy/.test(await curl("-i http://reviews:9080/health")));
    await underLoad(async () => void (await ok("kubectl rollout restart deploy/waypoint && kubectl rollout status deploy/waypoint --timeout=60s")));
  });

  step("it routes as a VirtualService or an HTTPRoute says", async () => {
    await ok(apply(routes));
    const versions = async (args: string): Promise<string[]> => [...(await curl(`${args} "http://reviews:9080/reviews/0?[1-40]"`)).matchAll(/"podname":"reviews-(v\d)/g)].map(([, version]) => version ?? "");
    await eventually("the rule has come", async () => !(await versions("")).includes("v3"));
    assert.deepEqual([...new Set(await versions(""))].sort(), ["v1", "v2"]);
    assert.deepEqual([...new Set(await versions("-H end-user:jason"))], ["v3"]);
    await ok("kubectl delete virtualservice reviews");
    await ok(apply(byHttpRoute));
    // Only ratings knows the path.
    await eventually("the route has come", async () => /404/.test(await curl(`-o /dev/null -w '%{http_code}\\n' "http://reviews:9080/ratings/0?[1-20]"`)));
    assert.match(await curl(`-o /dev/null -w '%{http_code}\\n' "http://reviews:9080/ratings/0?[1-40]"`), /200/);
    await ok("kubectl delete httproute reviews");
  });

  step("it enforces what only requests can tell", async () => {
    await ok(apply(policy));
    await eventually("others are denied", async () => (await curl("-o /dev/null -w '%{http_code}' -X POST http://reviews:9080/reviews/0")) === "403");
    assert.equal(await curl("-o /dev/null -w '%{http_code}' http://reviews:9080/reviews/0"), "200");
  });
}

const [kubectl] = kubectls().slice(-1);
if (kubectl !== undefined) describe(`a waypoint, by ${kubectl.title} (${kubectlVersion(kubectl)})`, { concurrency: 1 }, () => waypoint(kubectl));
