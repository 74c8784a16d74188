import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

// These tests send bodies that are not stored (reviews, options), with values that their kinds do not allow.
let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "own" } });
  await server.call("POST", `${own}/serviceaccounts`, { metadata: { name: "default" } });
  for (const name of ["web", "free"])
    await server.call("POST", `${own}/pods`, {
      metadata: { name, finalizers: ["test/kept"] },
      spec: {
        containers: [{ name: "main", image: "web:1" }],
        ...(name === "web" ? { nodeName: "node-a" } : {}),
      },
    });
});
after(() => server.remove());

const own = "/api/v1/namespaces/own";

async function podOf(name: string): Promise<Json> {
  return (await server.call("GET", `${own}/pods/${name}`)).body;
}

test("options of a deletion with values of another type are refused, and do not get into the object", async () => {
  const oddOptions = [
    { gracePeriodSeconds: [5] },
    { gracePeriodSeconds: "5" },
    { gracePeriodSeconds: 1.5 },
    { orphanDependents: "true" },
    { propagationPolicy: ["Orphan"] },
    { preconditions: "x" },
    { preconditions: { uid: 1 } },
    { dryRun: "All" },
  ];
  for (const options of oddOptions) {
    const deleted = await server.call("DELETE", `${own}/pods/web`, options);
    assert.equal(deleted.status, 400, JSON.stringify(options));
    assert.match(deleted.body.message, /^DeleteOptions.* has a value of another type than /);
    const evicted = await server.call("POST", `${own}/pods/web/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: "web" },
      deleteOptions: options,
    });
    assert.equal(evicted.status, 400, JSON.stringify(options));
  }
  const { metadata } = await podOf("web");
  assert.deepEqual([metadata.deletionTimestamp, metadata.deletionGracePeriodSeconds], [undefined, undefined]);
});

test("options of a deletion or an eviction that are null count as absent", async () => {
  const fields = ["gracePeriodSeconds", "propagationPolicy", "orphanDependents", "preconditions", "dryRun"];
  const nothing: Json = Object.fromEntries(fields.map((name) => [name, null]));
  const withPolicy = { ...nothing, orphanDependents: true };
  for (const options of [nothing, withPolicy, { preconditions: { uid: null, resourceVersion: null } }]) {
    const deleted = await server.call("DELETE", `${own}/pods/web?dryRun=All`, options);
    assert.equal(deleted.status, 200, deleted.text);
    const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "web" }, deleteOptions: options };
    const evicted = await server.call("POST", `${own}/pods/web/eviction?dryRun=All`, eviction);
    assert.equal(evicted.status, 201, evicted.text);
  }
  const inQuery = await server.call("DELETE", `${own}/pods/web?dryRun=All&propagationPolicy=Orphan`, nothing);
  assert.ok(inQuery.body.metadata.finalizers.includes("orphan"), inQuery.text);
});

test("a Binding with a name or annotations of another type is refused, and the pod stays as it is", async () => {
  const bind = async (body: Json): Promise<Answer> =>
    await server.call("POST", `${own}/pods/free/binding`, { apiVersion: "v1", kind: "Binding", ...body });
  for (const target of [{ name: { a: 1 } }, { name: ["node-a"] }, { name: 5 }, "node-a"])
    assert.equal((await bind({ target })).status, 400, JSON.stringify(target));
  const annotated = { metadata: { annotations: { a: 1 } }, target: { name: "node-a" } };
  assert.equal((await bind(annotated)).status, 400);
  const { spec } = await podOf("free");
  assert.equal(spec.nodeName, undefined);
});

test("a Binding for another pod of the same name, or for an older state of it, is refused", async () => {
  for (const precondition of [{ uid: "of a predecessor" }, { resourceVersion: "1" }]) {
    const body = { metadata: { name: "free", ...precondition }, target: { name: "node-a" } };
    const { status, text } = await server.call("POST", `${own}/pods/free/binding`, body);
    assert.equal(status, 409, text);
    assert.match(text, /Precondition failed: (UID|ResourceVersion) in precondition/);
  }
  assert.equal((await podOf("free")).spec.nodeName, undefined);
});

test("a token has a lifetime in seconds, and no text that would be joined to the time", async () => {
  const request = async (spec: Json): Promise<Answer> =>
    await server.call("POST", `${own}/serviceaccounts/default/token`, { spec });
  for (const spec of [{ expirationSeconds: "600" }, { audiences: "a" }, { audiences: [1] }, { boundObjectRef: "x" }])
    assert.equal((await request(spec)).status, 400, JSON.stringify(spec));
  assert.equal((await request({ expirationSeconds: 600, audiences: ["a"], boundObjectRef: null })).status, 201);
});

test("a pod cannot become a mirror pod, whose processes no node would end, nor stop being one", async () => {
  const merge = { contentType: "application/merge-patch+json" };
  const mirrored = { metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } };
  for (const path of ["web", "web/status"]) {
    const { status, body } = await server.call("PATCH", `${own}/pods/${path}`, mirrored, merge);
    assert.equal(status, 422, path);
    assert.match(
      body.message,
      /annotations\[kubernetes\.io\/config\.mirror\]: Forbidden: may not add mirror pod annot/,
    );
  }
  const spec = { nodeName: "node-a", containers: [{ name: "main", image: "web:1" }] };
  await server.call("POST", `${own}/pods`, { metadata: { name: "mirror", ...mirrored.metadata }, spec });
  const removed = await server.call("PATCH", `${own}/pods/mirror`, { metadata: { annotations: null } }, merge);
  assert.match(removed.body.message, /may not remove or update mirror pod annotation/);
});

test("metadata that comes with a status is checked like any other", async () => {
  const merge = { contentType: "application/merge-patch+json" };
  const patch = { metadata: { labels: { "a b": "c" } }, status: { message: "x" } };
  const { status, body } = await server.call("PATCH", `${own}/pods/web/status`, patch, merge);
  assert.equal(status, 422, body.message);
  assert.match(body.message, /metadata\.labels: Invalid value: "a b"/);
});

test("a page of a list needs the token of a page", async () => {
  const list = async (token: Json): Promise<number> => {
    const text = Buffer.from(JSON.stringify(token)).toString("base64url");
    return (await server.call("GET", `${own}/pods?limit=1&continue=${text}`)).status;
  };
  for (const rv of [undefined, "1", -2, {}, 1.5]) assert.equal(await list({ rv, start: "/" }), 400, JSON.stringify(rv));
});

test("the right to a pod's status does not give the pod another owner", async () => {
  const merge = { contentType: "application/merge-patch+json" };
  const owner = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "3f1c9f0e-0f7c-4d1f-9b3e-5a8d0a6e9c11" };
  const patch = { metadata: { ownerReferences: [owner] }, status: { message: "written" } };
  const { status, body } = await server.call("PATCH", `${own}/pods/web/status`, patch, merge);
  assert.deepEqual([status, body.status.message, body.metadata.ownerReferences], [200, "written", undefined]);
});

test("half of a surrogate pair becomes U+FFFD in each kind of body, and YAML with its escape is refused", async () => {
  const half = String.raw`"\ud800"`;
  const path = `${own}/configmaps/half`;
  const created = await server.call("POST", `${own}/configmaps`, `{"metadata":{"name":"half"},"data":{"a":${half}}}`);
  assert.deepEqual([created.status, created.body.data], [201, { a: "\ufffd" }]);
  const head = '"apiVersion":"v1","kind":"ConfigMap"';
  const patches: readonly (readonly [contentType: string, query: string, body: string])[] = [
    ["application/merge-patch+json", "", `{"data":{"b":${half}}}`],
    ["application/strategic-merge-patch+json", "", `{"data":{"c":${half}}}`],
    ["application/json-patch+json", "", `[{"op":"add","path":"/data/d","value":${half}}]`],
    ["application/apply-patch+yaml", "?fieldManager=x", `{${head},"data":{"e":${half}}}`],
  ];
  for (const [contentType, query, body] of patches)
    assert.equal((await server.call("PATCH", `${path}${query}`, body, { contentType })).status, 200, contentType);
  const names = ["a", "b", "c", "d", "e"];
  assert.deepEqual(
    (await server.call("GET", path)).body.data,
    Object.fromEntries(names.map((name) => [name, "\ufffd"])),
  );
  const yaml = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: half-yaml}\ndata: {a: ${half}}\n`;
  const refused = await server.call("POST", `${own}/configmaps`, yaml, { contentType: "application/yaml" });
  assert.equal(refused.status, 400);
  assert.match(refused.body.message, /found invalid Unicode character escape code/);
});

test("a number that no double has is refused, and does not become null", async () => {
  const create = async (body: string, contentType: string): Promise<number> =>
    (await server.call("POST", "/apis/apps/v1/namespaces/own/controllerrevisions", body, { contentType })).status;
  assert.equal(await create('{"metadata":{"name":"a"},"revision":1,"data":{"a":1e999}}', "application/json"), 400);
  assert.equal(await create("metadata: {name: b}\nrevision: 1\ndata: {a: .inf}", "application/yaml"), 400);
  assert.equal(await create('{"metadata":{"name":"c"},"revision":1,"data":{"a":1e300}}', "application/json"), 201);
});

test("a Scale has at most as many replicas as clients in Go can read", async () => {
  const sets = "/apis/apps/v1/namespaces/own/replicasets";
  const labels = { app: "scaled" };
  const template = { metadata: { labels }, spec: { containers: [{ name: "main", image: "web:1" }] } };
  const spec = { replicas: 0, selector: { matchLabels: labels }, template };
  assert.equal((await server.call("POST", sets, { metadata: { name: "scaled" }, spec })).status, 201);
  const merge = { contentType: "application/merge-patch+json" };
  const scale = async (replicas: number): Promise<Answer> =>
    await server.call("PATCH", `${sets}/scaled/scale`, { spec: { replicas } }, merge);
  const refused = await scale(3e9);
  assert.equal(refused.status, 400, refused.text);
  assert.match(refused.body.message, /number 3000000000 into Go struct field ScaleSpec\.spec\.replicas of type int32/);
  assert.equal((await scale(2 ** 31 - 1)).body.spec.replicas, 2 ** 31 - 1);
});

test("the annotations of an old autoscaler must have the form of the fields that they become", async () => {
  const create = async (behavior: Json): Promise<Answer> =>
    await server.call("POST", "/apis/autoscaling/v1/namespaces/own/horizontalpodautoscalers", {
      metadata: {
        name: "old",
        annotations: { "autoscaling.alpha.kubernetes.io/behavior": JSON.stringify(behavior) },
      },
      spec: { maxReplicas: 2, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" } },
    });
  for (const behavior of ["text", { scaleUp: [1] }, { scaleUp: { stabilizationWindowSeconds: "5" } }]) {
    const refused = await create(behavior);
    assert.equal(refused.status, 400, refused.text);
    assert.match(refused.body.message, /json: cannot unmarshal/);
  }
  assert.equal((await create({ scaleUp: { stabilizationWindowSeconds: 5 } })).status, 201);
});

test("the end of a very long grace period is a date that clients can read, and can still be brought forward", async () => {
  await server.call("POST", `${own}/pods`, {
    metadata: { name: "long", finalizers: ["test/kept"] },
    spec: {
      terminationGracePeriodSeconds: 2 ** 53 - 1,
      nodeName: "node-a",
      containers: [{ name: "main", image: "web:1" }],
    },
  });
  for (const gracePeriodSeconds of [undefined, 2 ** 52, 300_000_000_000, 5]) {
    const deleted = await server.call("DELETE", `${own}/pods/long`, { gracePeriodSeconds });
    assert.equal(deleted.status, 200, deleted.text);
    assert.match(deleted.body.metadata.deletionTimestamp, /^\d{4}-/);
  }
  assert.equal((await podOf("long")).metadata.deletionGracePeriodSeconds, 5);
});

test("patches do not make an object larger than a bound, and one of that size can shrink and be deleted", async () => {
  const revisions = "/apis/apps/v1/namespaces/own/controllerrevisions";
  const merge = { contentType: "application/merge-patch+json" };
  const add = async (name: string, bytes: number): Promise<number> =>
    (await server.call("PATCH", `${revisions}/large`, { data: { [name]: "x".repeat(bytes) } }, merge)).status;
  const created = await server.call("POST", revisions, { metadata: { name: "large" }, revision: 1, data: {} });
  assert.equal(created.status, 201);
  assert.deepEqual([await add("a", 2_000_000), await add("b", 2_000_000), await add("c", 200_000)], [200, 200, 413]);
  assert.equal(await add("b", 1), 200);
  assert.equal((await server.call("DELETE", `${revisions}/large`)).status, 200);
});

test("a review with a value of another type is refused", async () => {
  const authorization = "/apis/authorization.k8s.io/v1";
  const access = `${authorization}/subjectaccessreviews`;
  const attributes = { resource: "pods", verb: "get" };
  const cases: readonly (readonly [path: string, spec: Json])[] = [
    [access, "text"],
    [access, { user: "a", groups: "system:masters", resourceAttributes: attributes }],
    [access, { user: ["a"], resourceAttributes: attributes }],
    [access, { user: "a", resourceAttributes: { ...attributes, verb: 1 } }],
    [access, { user: "a", nonResourceAttributes: { path: {}, verb: "get" } }],
    [`${authorization}/selfsubjectrulesreviews`, { namespace: 5 }],
    ["/apis/authentication.k8s.io/v1/tokenreviews", { token: "a", audiences: "b" }],
  ];
  for (const [path, spec] of cases) {
    const { status, text } = await server.call("POST", path, { spec });
    assert.equal(status, 400, `${path} ${JSON.stringify(spec)}: ${text}`);
  }
});

test("a path that is none is refused like any other wrong request", async (context) => {
  const session = connect(`https://127.0.0.1:${server.port}`, server.credentials());
  context.after(() => session.close());
  const answer = session.request({ ":scheme": "x", ":path": ":x" });
  const [headers] = (await once(answer, "response")) as [Json];
  answer.close();
  assert.equal(headers[":status"], 400);
});
