import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { after, before, test } from "node:test";
import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";
import type { Authorizer } from "../auth/index.ts";
import { impersonated } from "./impersonate.ts";
import { ServerHarness, type Json } from "./testing/server-harness.ts";

let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
});
after(() => server.remove());

const pods = "/api/v1/namespaces/default/pods";
const merge = { contentType: "application/merge-patch+json" };

function pod(name: string, spec: Json = {}): Json {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: "main", image: "x" }], ...spec },
  };
}

test("without credentials a request is forbidden, with wrong ones unauthorized, and health is public", async () => {
  const anonymous = await server.call("GET", "/api/v1/namespaces", undefined, { anonymous: true });
  assert.equal(anonymous.status, 403);
  assert.equal(
    anonymous.body.message,
    'namespaces is forbidden: User "system:anonymous" cannot list resource "namespaces" in API group "" at the cluster scope',
  );
  assert.equal((await server.call("GET", "/api/v1/namespaces", undefined, { token: "nonsense" })).status, 401);
  assert.equal((await server.call("GET", "/readyz", undefined, { anonymous: true })).text, "ok");
});

test("a service account may do what its roles allow, and its token becomes invalid with the pod to which it is bound", async () => {
  const made = await server.call("POST", pods, pod("bound"));
  const request = {
    spec: {
      audiences: ["mesh"],
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "bound", uid: made.body.metadata.uid },
    },
  };
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const meshToken = (await server.call("POST", path, request)).body.status.token;
  const { token } = (await server.call("POST", path, { spec: {} })).body.status;
  const read = async (): Promise<number> => (await server.call("GET", pods, undefined, { token })).status;
  assert.equal(await read(), 403);
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" };
  const subjects = [{ kind: "ServiceAccount", name: "default", namespace: "default" }];
  await server.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
    metadata: { name: "viewers" },
    roleRef,
    subjects,
  });
  assert.equal(await read(), 200);
  const short = await server.call("POST", path, { spec: { audiences: ["kubernetes.default.svc"] } });
  assert.equal((await server.call("GET", pods, undefined, { token: short.body.status.token })).status, 200);
  assert.equal((await server.call("GET", pods, undefined, { token: meshToken })).status, 401);
  assert.equal((await server.call("GET", "/api/v1/namespaces/kube-system/pods", undefined, { token })).status, 403);
  const review = async (audience: string): Promise<Json> => {
    const spec = { token: meshToken, audiences: [audience] };
    return (await server.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec })).body.status;
  };
  const status = await review("mesh");
  assert.equal(status.user.username, "system:serviceaccount:default:default");
  assert.deepEqual(status.user.extra["authentication.kubernetes.io/pod-name"], ["bound"]);
  assert.equal((await review("other")).authenticated, undefined);
  await server.call("DELETE", `${pods}/bound`);
  assert.equal((await review("mesh")).authenticated, undefined);
});

test("a token that is bound to a node names it, and becomes invalid with it", async () => {
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const { uid } = (await server.call("POST", "/api/v1/nodes", { metadata: { name: "bound-node" } })).body.metadata;
  const bind = async (reference: Json): Promise<Json> =>
    (await server.call("POST", path, { spec: { boundObjectRef: reference } })).body;
  const { token } = (await bind({ kind: "Node", apiVersion: "v1", name: "bound-node" })).status;
  const review = async (): Promise<Json> =>
    (await server.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token } })).body.status;
  const { extra } = (await review()).user;
  assert.deepEqual(extra["authentication.kubernetes.io/node-name"], ["bound-node"]);
  assert.deepEqual(extra["authentication.kubernetes.io/node-uid"], [uid]);
  const other = await bind({ kind: "Node", apiVersion: "v1", name: "bound-node", uid: "other" });
  assert.equal(other.code, 409);
  assert.match(other.message, /^Operation cannot be fulfilled on Node "bound-node": the UID in the bound object/);
  const foreign = await bind({ kind: "Node", apiVersion: "example.com/v1", name: "bound-node" });
  assert.equal(foreign.message, "cannot bind token to object of type example.com/v1, Kind=Node");
  await server.call("DELETE", "/api/v1/nodes/bound-node");
  assert.equal((await review()).authenticated, undefined);
});

test("the token of a pod whose node is gone names the node without a uid", async () => {
  await server.call("POST", pods, pod("on-lost-node", { nodeName: "lost-node" }));
  const spec = { boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "on-lost-node" } };
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const { token } = (await server.call("POST", path, { spec })).body.status;
  const review = await server.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token } });
  const { extra } = review.body.status.user;
  assert.deepEqual(extra["authentication.kubernetes.io/node-name"], ["lost-node"]);
  assert.equal(extra["authentication.kubernetes.io/node-uid"], undefined);
});

test("a token secret is filled for its account", async () => {
  const annotations = { "kubernetes.io/service-account.name": "default" };
  const secrets = "/api/v1/namespaces/default/secrets";
  await server.call("POST", secrets, {
    metadata: { name: "long-lived", annotations },
    type: "kubernetes.io/service-account-token",
  });
  let data: Json;
  while (data?.token === undefined) ({ data } = (await server.call("GET", `${secrets}/long-lived`)).body);
  const token = Buffer.from(data.token, "base64").toString();
  const self = await server.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, { token });
  assert.equal(self.body.status.userInfo.username, "system:serviceaccount:default:default");
});

test("aggregated roles contain the rules of the roles that they select", async () => {
  const labels = { "rbac.authorization.k8s.io/aggregate-to-view": "true" };
  const rules = [{ verbs: ["get"], apiGroups: ["test.dev"], resources: ["widgets"] }];
  await server.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
    metadata: { name: "widgets", labels },
    rules,
  });
  const spec = {
    user: "carl",
    groups: ["staff"],
    resourceAttributes: { verb: "get", group: "test.dev", resource: "widgets", namespace: "default" },
  };
  const isAllowed = async (): Promise<boolean> =>
    (await server.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { spec })).body.status.allowed;
  assert.equal(await isAllowed(), false);
  const binding = {
    metadata: { name: "staff" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "admin" },
    subjects: [{ kind: "Group", name: "staff", apiGroup: "rbac.authorization.k8s.io" }],
  };
  await server.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding);
  while (!(await isAllowed()));
});

test("users cannot grant more rights than they have", async () => {
  const headers = { "impersonate-user": "eve", "impersonate-group": "editors" };
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "admin" };
  const subjects = [{ kind: "Group", name: "editors", apiGroup: "rbac.authorization.k8s.io" }];
  const bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
  await server.call("POST", bindings, { metadata: { name: "editors" }, roleRef, subjects });
  const more = await server.call(
    "POST",
    bindings,
    { metadata: { name: "more" }, roleRef: { ...roleRef, name: "cluster-admin" }, subjects },
    { headers },
  );
  assert.match(more.body.message, /attempting to grant RBAC permissions not currently held/);
  const same = await server.call(
    "POST",
    bindings,
    { metadata: { name: "same" }, roleRef: { ...roleRef, name: "view" }, subjects },
    { headers },
  );
  assert.equal(same.status, 201, same.text);
});

test("users cannot bind themselves to a role that gets more rights later, by aggregation or by its creation", async () => {
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const group = "rbac.authorization.k8s.io";
  const headers = { "impersonate-user": "mallory" };
  const subjects = [{ kind: "User", name: "mallory", apiGroup: group }];
  const writers = {
    metadata: { name: "role-writers" },
    rules: [
      { apiGroups: [group], resources: ["clusterroles", "clusterrolebindings"], verbs: ["create", "update", "patch"] },
    ],
  };
  const bind = (name: string, role: string) => ({
    metadata: { name },
    roleRef: { apiGroup: group, kind: "ClusterRole", name: role },
    subjects,
  });
  await server.call("POST", `${rbac}/clusterroles`, writers);
  await server.call("POST", `${rbac}/clusterrolebindings`, bind("role-writers", "role-writers"));
  const aggregationRule = {
    clusterRoleSelectors: [{ matchLabels: { "kubernetes.io/bootstrapping": "rbac-defaults" } }],
  };
  const patch = (name: string, body: object) =>
    server.call("PATCH", `${rbac}/clusterroles/${name}`, body, {
      headers: { ...headers, "content-type": "application/merge-patch+json" },
    });
  const refused = /must have cluster-admin privileges to use the aggregationRule/;
  const own = await patch("role-writers", { aggregationRule });
  assert.match(`${own.status} ${own.body.message}`, refused);
  const other = await server.call(
    "POST",
    `${rbac}/clusterroles`,
    { metadata: { name: "all" }, aggregationRule, rules: [] },
    { headers },
  );
  assert.match(`${other.status} ${other.body.message}`, refused);
  await server.call("POST", `${rbac}/clusterroles`, {
    metadata: { name: "none" },
    aggregationRule: { ...aggregationRule, clusterRoleSelectors: [{ matchLabels: { is: "nothing" } }] },
  });
  const tightened = await patch("none", { aggregationRule: null });
  assert.match(`${tightened.status} ${tightened.body.message}`, refused);
  assert.equal((await patch("role-writers", { metadata: { labels: { a: "b" } } })).status, 200);
  const early = await server.call("POST", `${rbac}/clusterrolebindings`, bind("early", "not-yet"), { headers });
  assert.equal(
    `${early.status} ${early.body.message}`,
    '404 clusterroles.rbac.authorization.k8s.io "not-yet" not found',
  );
  assert.equal((await server.call("POST", `${rbac}/clusterrolebindings`, bind("early", "not-yet"))).status, 201);
});

test("an administrator may impersonate another user, and then has only that user's rights", async () => {
  const headers = { "impersonate-user": "nobody" };
  const answer = await server.call("GET", pods, undefined, { headers });
  assert.match(answer.body.message, /User "nobody" cannot list resource "pods"/);
});

test("an administrator may impersonate a uid and extra fields, and others need the right to each value", async () => {
  const headers = {
    "impersonate-user": "jane",
    "impersonate-uid": "06f6ce97",
    "impersonate-extra-scopes": "view, edit",
    "impersonate-extra-acme.com%2fproject": "some-project",
  };
  const reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const self = await server.call("POST", reviews, {}, { headers });
  assert.deepEqual(self.body.status.userInfo, {
    username: "jane",
    uid: "06f6ce97",
    groups: ["system:authenticated"],
    extra: { scopes: ["view", "edit"], "acme.com/project": ["some-project"] },
  });
  const { "impersonate-user": _user, ...without } = headers;
  const alone = await server.call("POST", reviews, {}, { headers: without });
  assert.equal(
    `${alone.status} ${alone.body.message}`,
    "400 requested a uid or extra fields without impersonating a user",
  );
  const subject = (resource: string, subresource: string, name: string) => ({
    verb: "impersonate",
    group: "authentication.k8s.io",
    resource,
    subresource,
    namespace: "",
    name,
  });
  const allowed = [subject("uids", "", "06f6ce97"), subject("userextras", "scopes", "view")];
  const authorizer = {
    authorize: (_user: unknown, asked: { readonly resource: string }) => ({
      allowed: asked.resource === "users" || allowed.some((known) => JSON.stringify(known) === JSON.stringify(asked)),
    }),
  } as unknown as Authorizer;
  const admin = { name: "admin", groups: [] };
  const ask = (more: IncomingHttpHeaders) => () =>
    impersonated(authorizer, admin, { "impersonate-user": "jane", ...more });
  assert.deepEqual(ask({ "impersonate-uid": "06f6ce97", "impersonate-extra-scopes": "view" })(), {
    name: "jane",
    groups: ["system:authenticated"],
    uid: "06f6ce97",
    extra: { scopes: ["view"] },
  });
  assert.throws(
    ask({ "impersonate-uid": "other" }),
    /uids\.authentication\.k8s\.io "other" is forbidden: User "admin" cannot/,
  );
  assert.throws(
    ask({ "impersonate-extra-scopes": "view, edit" }),
    /userextras\/scopes\.authentication\.k8s\.io "edit" is forbidden: User "admin" cannot impersonate resource "userextras\/scopes"/,
  );
});

test("a pod gets its account's token volume, and its deletion waits for the node that runs it", async () => {
  const made = await server.call("POST", pods, pod("graceful"));
  const [volume] = made.body.spec.volumes;
  assert.match(volume.name, /^kube-api-access-[a-z0-9]{5}$/);
  assert.equal(made.body.spec.containers[0].volumeMounts[0].mountPath, "/var/run/secrets/kubernetes.io/serviceaccount");
  const binding = { metadata: { name: "graceful" }, target: { kind: "Node", name: "node-a" } };
  assert.equal((await server.call("POST", `${pods}/graceful/binding`, binding)).status, 201);
  assert.equal((await server.call("POST", `${pods}/graceful/binding`, binding)).status, 409);
  const marked = await server.call("DELETE", `${pods}/graceful`);
  assert.equal(marked.body.metadata.deletionGracePeriodSeconds, 30);
  assert.equal((await server.call("GET", `${pods}/graceful`)).status, 200);
  await server.call("DELETE", `${pods}/graceful?gracePeriodSeconds=0`);
  assert.equal((await server.call("GET", `${pods}/graceful`)).status, 404);
});

test("an eviction is refused while a disruption budget is exhausted", async () => {
  await server.call("POST", pods, pod("guarded", { nodeName: "node-a" }));
  await server.call("PATCH", `${pods}/guarded/status`, { status: { phase: "Running" } }, merge);
  const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  await server.call("POST", budgets, {
    metadata: { name: "guard" },
    spec: { minAvailable: 1, selector: { matchLabels: { app: "guarded" } } },
  });
  const allow = async (disruptionsAllowed: number): Promise<unknown> =>
    await server.call(
      "PATCH",
      `${budgets}/guard/status`,
      { status: { observedGeneration: 1, disruptionsAllowed } },
      merge,
    );
  const evict = async (): Promise<number> =>
    (
      await server.call("POST", `${pods}/guarded/eviction`, {
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name: "guarded" },
      })
    ).status;
  await allow(0);
  assert.equal(await evict(), 429);
  await allow(1);
  assert.equal(await evict(), 201);
  assert.equal((await server.call("GET", `${budgets}/guard`)).body.status.disruptionsAllowed, 0);
});

test("the status of an evicted pod names the eviction, and neither a refused nor a trial eviction leaves a trace", async () => {
  await server.call("POST", pods, { ...pod("marked", { nodeName: "node-a" }) });
  const evict = async (query: string, deleteOptions: Json): Promise<number> =>
    (await server.call("POST", `${pods}/marked/eviction${query}`, { metadata: { name: "marked" }, deleteOptions }))
      .status;
  const conditions = async (): Promise<Json> =>
    (await server.call("GET", `${pods}/marked`)).body.status.conditions?.map((one: Json) => one.reason ?? one.type);
  assert.equal(await evict("?dryRun=All", {}), 201);
  assert.equal(await evict("", { preconditions: { uid: "other" } }), 409);
  assert.equal(await conditions(), undefined);
  const { resourceVersion } = (await server.call("GET", `${pods}/marked`)).body.metadata;
  assert.equal(await evict("", { preconditions: { resourceVersion } }), 201);
  assert.deepEqual(await conditions(), ["EvictionByEvictionAPI"]);
});

test("a pod that is not ready is evicted if its budget's healthy pods suffice, or if the budget protects only these", async () => {
  const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  const condition = (status: string): Json => ({ phase: "Running", conditions: [{ type: "Ready", status }] });
  const evict = async (name: string): Promise<number> =>
    (await server.call("POST", `${pods}/${name}/eviction`, { metadata: { name } })).status;
  const make = async (name: string, status: Json, spec: Json): Promise<void> => {
    await server.call("POST", pods, pod(name, { nodeName: "node-a" }));
    await server.call("PATCH", `${pods}/${name}/status`, { status: condition("False") }, merge);
    const selector = { matchLabels: { app: name } };
    await server.call("POST", budgets, { metadata: { name }, spec: { minAvailable: 1, selector, ...spec } });
    const body = { status: { observedGeneration: 1, disruptionsAllowed: 0, ...status } };
    await server.call("PATCH", `${budgets}/${name}/status`, body, merge);
  };
  await make("enough", { currentHealthy: 1, desiredHealthy: 1 }, {});
  await make("too-few", { currentHealthy: 0, desiredHealthy: 1 }, {});
  await make("free", { currentHealthy: 0, desiredHealthy: 1 }, { unhealthyPodEvictionPolicy: "AlwaysAllow" });
  assert.deepEqual([await evict("enough"), await evict("too-few"), await evict("free")], [201, 429, 201]);
  await make("ready", { currentHealthy: 1, desiredHealthy: 1 }, {});
  await server.call("PATCH", `${pods}/ready/status`, { status: condition("True") }, merge);
  assert.equal(await evict("ready"), 429);
});

test("services get their own addresses and node ports, which are freed when they are deleted", async () => {
  const services = "/api/v1/namespaces/default/services";
  const service = (name: string, spec: Json): Json => ({
    metadata: { name },
    spec: { ports: [{ port: 80 }], selector: { app: "x" }, ...spec },
  });
  const plain = await server.call("POST", services, service("plain", {}));
  assert.match(plain.body.spec.clusterIP, /^10\.96\./);
  const taken = await server.call("POST", services, service("taken", { clusterIP: plain.body.spec.clusterIP }));
  assert.equal(taken.status, 422);
  const fixed = await server.call("POST", services, service("dns", { clusterIP: "10.96.0.10", type: "NodePort" }));
  assert.equal(fixed.body.spec.clusterIPs[0], "10.96.0.10");
  assert.ok(fixed.body.spec.ports[0].nodePort >= 30_000);
  const changed = await server.call("PATCH", `${services}/dns`, { spec: { type: "ClusterIP" } }, merge);
  assert.equal(changed.body.spec.ports[0].nodePort, undefined);
  await server.call("DELETE", `${services}/plain`);
  assert.equal(
    (await server.call("POST", services, service("taken", { clusterIP: plain.body.spec.clusterIP }))).status,
    201,
  );
  assert.equal((await server.call("GET", `${services}/kubernetes`)).body.spec.clusterIP, "10.96.0.1");
});

test("logs and upgrades are relayed to the pod's node", async () => {
  const { certificate, key } = server.pki.nodes["node-a"] ?? { certificate: "", key: "" };
  const paths: string[] = [];
  const node = createHttpsServer(
    {
      cert: readFileSync(certificate),
      key: readFileSync(key),
      ca: readFileSync(server.pki.caCertificate),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      paths.push(request.url ?? "");
      response.end("line\n");
    },
  );
  node.on("upgrade", (request, socket) => {
    paths.push(request.url ?? "");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade ?? ""}\r\n\r\n`,
    );
    socket.on("data", (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
    socket.on("end", () => socket.end());
  });
  const nodePort = await listenOnLoopback(node);
  await server.call("POST", "/api/v1/nodes", {
    metadata: { name: "node-a" },
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: nodePort } },
    },
  });
  await server.call("POST", pods, pod("served", { nodeName: "node-a" }));
  await server.call("PATCH", `${pods}/served/status`, { status: { podIP: "127.0.0.1" } }, merge);
  assert.equal((await server.call("GET", `${pods}/served/log?tailLines=1`)).text, "line\n");
  const wrong = await server.call("GET", `${pods}/served/log?container=other`);
  assert.deepEqual([wrong.status, wrong.body.message], [400, "container other is not valid for pod served"]);
  const echoed = await new Promise<string>((resolve, reject) => {
    const outgoing = server.request("POST", `${pods}/served/exec?command=cat&stdin=true&stdout=true`, {
      headers: { connection: "Upgrade", upgrade: "SPDY/3.1" },
    });
    outgoing.on("error", reject);
    outgoing.on("response", (answer) => reject(new Error(`answered ${answer.statusCode ?? 0}`)));
    outgoing.on("upgrade", (_answer, socket) => {
      socket.on("data", (chunk: Buffer) => {
        resolve(chunk.toString());
        socket.destroy();
      });
      socket.write("abc");
    });
    outgoing.end();
  });
  assert.equal(echoed, "ABC");
  assert.deepEqual(paths, [
    "/containerLogs/default/served/main?tailLines=1",
    "/exec/default/served/main?command=cat&input=1&output=1",
  ]);
  node.close();
});

test("a request that a node's address leads back to the API server has no rights there", async () => {
  await server.call("POST", "/api/v1/nodes", {
    metadata: { name: "mirror" },
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: server.port } },
    },
  });
  const answer = await server.call("GET", "/api/v1/nodes/mirror/proxy/api/v1/secrets");
  assert.deepEqual([answer.status, answer.body.reason], [403, "Forbidden"]);
  await server.call("DELETE", "/api/v1/nodes/mirror");
});
