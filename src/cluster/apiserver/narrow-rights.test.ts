import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

// In each test, a user has a right that is narrower than what the request does.
let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  for (const name of ["own", "other"]) await server.call("POST", "/api/v1/namespaces", { metadata: { name } });
  await server.call("POST", `${own}/serviceaccounts`, { metadata: { name: "default" } });
  await server.call("POST", `${own}/serviceaccounts`, { metadata: { name: "robot" } });
  await server.call("POST", `${own}/pods`, {
    metadata: { name: "web" },
    spec: { containers: [{ name: "main", image: "web:1", resources: { requests: { cpu: "2m" } } }] },
  });
});
after(() => server.remove());

const own = "/api/v1/namespaces/own";
const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/own";
const merge = { "content-type": "application/merge-patch+json" };
const apply = { "content-type": "application/apply-patch+yaml" };

/** Creates a user with these rules in the namespace `own`. Returns a function that sends requests as this user. */
async function userWith(
  name: string,
  rules: readonly Json[],
): Promise<(method: string, path: string, body?: Json, headers?: Record<string, string>) => Promise<Answer>> {
  await server.call("POST", `${rbac}/roles`, { metadata: { name }, rules });
  await server.call("POST", `${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "User", name, apiGroup: "rbac.authorization.k8s.io" }],
  });
  return async (method, path, body, headers = {}) =>
    await server.call(method, path, body, { headers: { "impersonate-user": name, ...headers } });
}

test("a user with all rights in a namespace cannot reach another Namespace through its path", async () => {
  const owner = await userWith("owner", [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }]);
  const labels = { metadata: { labels: { taken: "over" } } };
  assert.equal((await owner("PATCH", own, labels, merge)).status, 200);
  for (const [method, path] of [
    ["GET", `${own}/namespaces/other`],
    ["GET", `${own}/namespaces`],
    ["PATCH", `${own}/namespaces/other`],
    ["PUT", `${own}/namespaces/other/finalize`],
    ["DELETE", `${own}/namespaces/other`],
  ] as const)
    assert.equal((await owner(method, path, method === "GET" ? undefined : labels, merge)).status, 404, path);
  const { body } = await server.call("GET", "/api/v1/namespaces/other");
  assert.deepEqual([body.metadata.labels.taken, body.status.phase], [undefined, "Active"]);
});

test("a user who may patch but not create cannot create an object by server-side apply", async () => {
  const patcher = await userWith("patcher", [{ apiGroups: [""], resources: ["configmaps"], verbs: ["patch"] }]);
  const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "made" }, data: { a: "b" } };
  const path = `${own}/configmaps/made?fieldManager=patcher`;
  const refused = await patcher("PATCH", path, map, apply);
  assert.equal(
    `${refused.status} ${refused.body.message}`,
    '403 configmaps "made" is forbidden: User "patcher" cannot create resource "configmaps" in API group "" in the namespace "own"',
  );
  await server.call("POST", `${own}/configmaps`, { ...map, data: {} });
  assert.equal((await patcher("PATCH", path, map, apply)).body.data.a, "b");
});

test("a token is bound only to a pod of its own account", async () => {
  const robot = await userWith("token-maker", [
    { apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] },
  ]);
  const spec = { boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "web" } };
  assert.equal((await robot("POST", `${own}/serviceaccounts/default/token`, { spec })).status, 201);
  const refused = await robot("POST", `${own}/serviceaccounts/robot/token`, { spec });
  assert.equal(
    `${refused.status} ${refused.body.message}`,
    '400 cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.',
  );
});

test("a local review answers only about rights in its own namespace", async () => {
  const asker = await userWith("asker", [
    { apiGroups: ["authorization.k8s.io"], resources: ["localsubjectaccessreviews"], verbs: ["create"] },
  ]);
  const path = "/apis/authorization.k8s.io/v1/namespaces/own/localsubjectaccessreviews";
  const review = async (spec: Json): Promise<Answer> => await asker("POST", path, { spec: { user: "jane", ...spec } });
  const inside = await review({ resourceAttributes: { verb: "get", resource: "secrets", namespace: "own" } });
  assert.equal(inside.body.status.allowed, false);
  for (const namespace of ["other", ""]) {
    const outside = await review({ resourceAttributes: { verb: "get", resource: "secrets", namespace } });
    assert.match(`${outside.status} ${outside.body.message}`, /^422 .*must match metadata.namespace/);
  }
  const nonResource = await review({ nonResourceAttributes: { verb: "get", path: "/metrics" } });
  assert.match(`${nonResource.status} ${nonResource.body.message}`, /^422 .*disallowed on this kind of request/);
});

test("a resize changes what containers may use, and neither their image nor their privileges", async () => {
  const resizer = await userWith("resizer", [{ apiGroups: [""], resources: ["pods/resize"], verbs: ["patch"] }]);
  const main = {
    name: "main",
    image: "evil:1",
    securityContext: { privileged: true },
    resources: { requests: { cpu: "1m" } },
  };
  const added = { name: "more", image: "evil:1" };
  const answer = await resizer("PATCH", `${own}/pods/web/resize`, { spec: { containers: [main, added] } }, merge);
  assert.equal(answer.status, 200, answer.text);
  const { spec } = (await server.call("GET", `${own}/pods/web`)).body;
  assert.deepEqual(
    spec.containers.map((each: Json) => [each.image, each.securityContext, each.resources.requests]),
    [["web:1", undefined, { cpu: "1m" }]],
  );
});

test("a resize that would change the pod's QoS class is refused", async () => {
  const resources = { limits: { cpu: "1m", memory: "1Mi" }, requests: { cpu: "1m", memory: "1Mi" } };
  const spec = { containers: [{ name: "main", image: "web:1", resources }] };
  const { status, body } = await server.call("PATCH", `${own}/pods/web/resize`, { spec }, { headers: merge });
  const message =
    'Pod "web" is invalid: spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing';
  assert.deepEqual([status, body.message], [422, message]);
});

test("a pod's resources cannot grow by an update, nor by a resize beyond the quota and the limits of its namespace", async () => {
  const namespace = "/api/v1/namespaces/bounded";
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "bounded" } });
  await server.call("POST", `${namespace}/serviceaccounts`, { metadata: { name: "default" } });
  const cpu = (amount: string): Json => ({
    spec: { containers: [{ name: "main", image: "web:1", resources: { requests: { cpu: amount } } }] },
  });
  await server.call("POST", `${namespace}/resourcequotas`, {
    metadata: { name: "all" },
    spec: { hard: { "requests.cpu": "2" } },
  });
  assert.equal(
    (await server.call("POST", `${namespace}/pods`, { metadata: { name: "web" }, ...cpu("1") })).status,
    201,
  );
  const patch = async (path: string, amount: string): Promise<string> => {
    const { status, body } = await server.call("PATCH", `${namespace}/pods/${path}`, cpu(amount), { headers: merge });
    return `${status} ${body.message ?? ""}`;
  };
  assert.match(await patch("web", "1500m"), /^422 .*pod updates may not change fields other than/);
  assert.match(await patch("web/resize", "3"), /^403 .*exceeded quota: all, requested: requests.cpu=2, used: .*=1/);
  assert.match(await patch("web/resize", "1500m"), /^200/);
  await server.call("POST", `${namespace}/limitranges`, {
    metadata: { name: "small" },
    spec: { limits: [{ type: "Container", max: { cpu: "1600m" } }] },
  });
  assert.match(await patch("web/resize", "1700m"), /^403 .*cpu/);
});

test("ephemeral containers are added through their own subresource, which leaves the others alone", async () => {
  const patcher = await userWith("pod-patcher", [{ apiGroups: [""], resources: ["pods"], verbs: ["patch"] }]);
  const debug = (image: string): Json => ({ spec: { ephemeralContainers: [{ name: "debug", image }] } });
  const forbidden = /^422 .*pod updates may not change fields other than/;
  const direct = await patcher("PATCH", `${own}/pods/web`, debug("busybox"), merge);
  assert.match(`${direct.status} ${direct.body.message}`, forbidden);
  const moved = await patcher("PATCH", `${own}/pods/web`, { spec: { nodeName: "node-a" } }, merge);
  assert.match(`${moved.status} ${moved.body.message}`, forbidden);
  const adder = await userWith("debugger", [
    { apiGroups: [""], resources: ["pods/ephemeralcontainers"], verbs: ["patch"] },
  ]);
  const path = `${own}/pods/web/ephemeralcontainers`;
  assert.equal((await adder("PATCH", path, debug("busybox"), merge)).status, 200);
  const changed = await adder("PATCH", path, debug("other"), merge);
  assert.match(changed.body.message, /existing ephemeral containers "debug" may not be changed/);
  const removed = await adder("PATCH", path, { spec: { ephemeralContainers: [] } }, merge);
  assert.match(removed.body.message, /existing ephemeral containers "debug" may not be removed/);
});

test("the right to a pod's status writes its annotations and changes nothing that the pod runs", async () => {
  const agent = await userWith("annotator", [{ apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] }]);
  const annotations = { "ambient.istio.io/redirection": "enabled" };
  const spec = { activeDeadlineSeconds: 1, containers: [{ name: "web", image: "other" }] };
  const before = (await server.call("GET", `${own}/pods/web`)).body;
  const { status, body } = await agent("PATCH", `${own}/pods/web/status`, { metadata: { annotations }, spec }, merge);
  assert.equal(status, 200);
  assert.equal(body.metadata?.annotations?.["ambient.istio.io/redirection"], "enabled");
  assert.deepEqual(body["spec"], before["spec"]);
  assert.equal((await agent("PATCH", `${own}/pods/web`, { metadata: { annotations } }, merge)).status, 403);
});

test("a Service's status may contain addresses and no other text", async () => {
  const writer = await userWith("address-writer", [
    { apiGroups: [""], resources: ["services/status"], verbs: ["patch"] },
  ]);
  const spec = { type: "LoadBalancer", ports: [{ port: 80 }] };
  await server.call("POST", `${own}/services`, { metadata: { name: "web" }, spec });
  const write = async (ip: string): Promise<Answer> =>
    await writer("PATCH", `${own}/services/web/status`, { status: { loadBalancer: { ingress: [{ ip }] } } }, merge);
  assert.match((await write("1.2.3")).body.message, /status.loadBalancer.ingress\[0\].ip: Invalid value: "1.2.3"/);
  assert.equal((await write("172.18.255.7")).status, 200);
});

test("a pod's proxy does not lead to the server's own loopback, whatever the pod's status says", async () => {
  const writer = await userWith("status-writer", [
    { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
    { apiGroups: [""], resources: ["pods/proxy"], verbs: ["get"] },
  ]);
  const status = { podIP: "127.0.0.1", podIPs: [{ ip: "127.0.0.1" }] };
  assert.equal((await writer("PATCH", `${own}/pods/web/status`, { status }, merge)).status, 200);
  const answer = await writer("GET", `${own}/pods/https:web:${server.port}/proxy/readyz`);
  assert.equal(`${answer.status} ${answer.body.message}`, "400 address not allowed");
});

test("a right to one named object permits a list and a watch of that object, and of no other", async () => {
  for (const name of ["mine", "theirs"]) await server.call("POST", `${own}/configmaps`, { metadata: { name } });
  const reader = await userWith("one-reader", [
    { apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch"], resourceNames: ["mine"] },
  ]);
  const list = async (query: string): Promise<Answer> => await reader("GET", `${own}/configmaps?${query}`);
  const { body } = await list("fieldSelector=metadata.name%3Dmine");
  assert.deepEqual(
    body.items.map(({ metadata }: Json) => metadata.name),
    ["mine"],
  );
  for (const query of [
    "",
    "fieldSelector=metadata.name%3Dtheirs",
    "fieldSelector=metadata.name!%3Dmine",
    "fieldSelector=metadata.namespace%3Down",
    "fieldSelector=metadata.name%3Dtheirs&fieldSelector=metadata.name%3Dmine",
    "fieldSelector=nonsense",
  ])
    assert.equal((await list(query)).status, 403, query);
  const selected = "fieldSelector=metadata.name%3Dmine";
  assert.equal((await reader("DELETE", `${own}/configmaps?${selected}`)).status, 403);
});
