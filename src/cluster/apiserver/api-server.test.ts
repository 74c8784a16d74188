import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { after, before, test } from "node:test";
import { ServerHarness, type Json } from "./testing/server-harness.ts";

let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
});
after(() => server.remove());

const configMaps = "/api/v1/namespaces/default/configmaps";
const merge = { contentType: "application/merge-patch+json" };

function configMap(name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}): Json {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, labels }, data };
}

test("objects are created, read, replaced with a version check, patched in four ways and deleted", async () => {
  const created = await server.call("POST", configMaps, configMap("one", { a: "1" }));
  assert.equal(created.status, 201);
  assert.match(created.body.metadata.uid, /^[0-9a-f-]{36}$/);
  assert.equal((await server.call("POST", configMaps, configMap("one"))).body.reason, "AlreadyExists");
  const replaced = await server.call("PUT", `${configMaps}/one`, { ...created.body, data: { a: "2" } });
  assert.equal(replaced.status, 200);
  const stale = await server.call("PUT", `${configMaps}/one`, { ...created.body, data: { a: "3" } });
  assert.deepEqual([stale.status, stale.body.reason], [409, "Conflict"]);
  await server.call("PATCH", `${configMaps}/one`, { data: { b: "1" } }, merge);
  await server.call(
    "PATCH",
    `${configMaps}/one`,
    { data: { c: "1" } },
    { contentType: "application/strategic-merge-patch+json" },
  );
  await server.call("PATCH", `${configMaps}/one`, [{ op: "remove", path: "/data/b" }], {
    contentType: "application/json-patch+json",
  });
  const applied = await server.call("PATCH", `${configMaps}/one?fieldManager=test`, configMap("one", { d: "1" }), {
    contentType: "application/apply-patch+yaml",
  });
  assert.deepEqual(applied.body.data, { a: "2", c: "1", d: "1" });
  const unchanged = await server.call("PATCH", `${configMaps}/one`, { data: { a: "2" } }, merge);
  assert.equal(unchanged.body.metadata.resourceVersion, applied.body.metadata.resourceVersion);
  const deleted = await server.call("DELETE", `${configMaps}/one`);
  assert.deepEqual([deleted.body.status, deleted.body.details.kind], ["Success", "configmaps"]);
  assert.equal((await server.call("GET", `${configMaps}/one`)).status, 404);
});

test("server-side apply creates a missing object, and names the conflicting manager", async () => {
  const apply = { contentType: "application/apply-patch+yaml" };
  const first = await server.call("PATCH", `${configMaps}/owned?fieldManager=a`, configMap("owned", { k: "1" }), apply);
  assert.equal(first.status, 201);
  const second = await server.call(
    "PATCH",
    `${configMaps}/owned?fieldManager=b`,
    configMap("owned", { k: "2" }),
    apply,
  );
  assert.equal(second.status, 409);
  assert.deepEqual(second.body.details.causes, [
    { reason: "FieldManagerConflict", message: 'conflict with "a"', field: ".data.k" },
  ]);
  const forced = await server.call(
    "PATCH",
    `${configMaps}/owned?fieldManager=b&force=true`,
    configMap("owned", { k: "2" }),
    apply,
  );
  assert.equal(forced.body.data.k, "2");
});

test("a list is split into pages of one snapshot, and selectors narrow it", async () => {
  for (const name of ["a", "b", "c", "d"])
    await server.call("POST", configMaps, configMap(`page-${name}`, {}, { page: name }));
  const selector = "labelSelector=page%20in%20(a,b,c,d)";
  const first = await server.call("GET", `${configMaps}?limit=3&${selector}`);
  assert.deepEqual(
    first.body.items.map((item: Json) => item.metadata.name),
    ["page-a", "page-b", "page-c"],
  );
  await server.call("DELETE", `${configMaps}/page-d`);
  const rest = await server.call("GET", `${configMaps}?limit=3&${selector}&continue=${first.body.metadata.continue}`);
  assert.deepEqual(
    rest.body.items.map((item: Json) => item.metadata.name),
    ["page-d"],
  );
  assert.equal(rest.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
  const named = await server.call("GET", `${configMaps}?fieldSelector=metadata.name=page-b`);
  assert.equal(named.body.items.length, 1);
  const unknown = await server.call("GET", "/api/v1/pods?fieldSelector=spec.foo=bar");
  assert.deepEqual([unknown.status, unknown.body.message], [400, "field label not supported: spec.foo"]);
});

test("a watch can start with a list, resumes after a version, and reports objects that enter or leave its selector", async () => {
  const start = await server.call("POST", configMaps, configMap("watched", {}, { w: "yes" }));
  const query = "watch=true&labelSelector=w%3Dyes";
  const list = `${configMaps}?${query}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
  const initial = await server.watch(list, (events) => events.some((event) => event.type === "BOOKMARK"));
  assert.deepEqual(
    initial.map((event) => event.type),
    ["ADDED", "BOOKMARK"],
  );
  assert.equal(initial[1].object.metadata.annotations["k8s.io/initial-events-end"], "true");
  const from = `${configMaps}?${query}&resourceVersion=${start.body.metadata.resourceVersion}`;
  const received = await server.watch(
    from,
    (events) => events.length === 3,
    async () => {
      await server.call("PATCH", `${configMaps}/watched`, { metadata: { labels: { w: "no" } } }, merge);
      await server.call("PATCH", `${configMaps}/watched`, { metadata: { labels: { w: "yes" } } }, merge);
      await server.call("DELETE", `${configMaps}/watched`);
    },
  );
  assert.deepEqual(
    received.map((event) => event.type),
    ["DELETED", "ADDED", "DELETED"],
  );
  const again = await server.watch(from, (events) => events.length === 3);
  assert.deepEqual(
    again.map((event) => event.object.metadata.resourceVersion),
    received.map((event) => event.object.metadata.resourceVersion),
  );
});

test("a table has cells, a partial object only metadata, and HTTP/2 serves the same", async () => {
  const table = await server.call("GET", "/api/v1/namespaces", undefined, {
    accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
  });
  assert.equal(table.body.kind, "Table");
  assert.deepEqual(table.body.rows[0].cells.slice(0, 2), ["default", "Active"]);
  const partial = await server.call("GET", "/api/v1/namespaces/default", undefined, {
    accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
  });
  assert.deepEqual(Object.keys(partial.body), ["kind", "apiVersion", "metadata"]);
  const session = connectHttp2(`https://127.0.0.1:${server.port}`, server.credentials());
  const text = await new Promise<string>((resolve, reject) => {
    const stream = session.request({ ":path": "/api/v1/namespaces/default" });
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.on("end", () => resolve(body));
    stream.on("error", reject);
  });
  session.close();
  assert.equal(JSON.parse(text).metadata.name, "default");
});

test("an object whose head has values of other types, or that has too many levels, is refused with the reason", async () => {
  const definition = {
    metadata: { name: "odds.test.serin.dev" },
    spec: {
      group: "test.serin.dev",
      scope: "Namespaced",
      names: { plural: "odds", singular: "odd", kind: "Odd" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  };
  await server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
  const odd = { apiVersion: "test.serin.dev/v1", kind: "Odd" };
  const odds = "/apis/test.serin.dev/v1/namespaces/default/odds";
  const map = { apiVersion: "v1", kind: "ConfigMap" };
  const apply = { contentType: "application/apply-patch+yaml" };
  const nested = (levels: number): Json => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  const deep = { metadata: { name: "deep" }, value: nested(990) };
  assert.equal((await server.call("POST", odds, { ...odd, ...deep })).status, 201);
  const grown = [{ op: "add", path: `/value${"/0".repeat(988)}/0`, value: nested(20) }];
  for (const refused of [
    await server.call("POST", odds, { ...odd, metadata: { name: "deeper" }, value: nested(3000) }),
    await server.call("PATCH", `${odds}/deep`, { more: nested(3000) }, merge),
    await server.call("PATCH", `${odds}/deep?fieldManager=a`, { ...odd, more: nested(3000) }, apply),
    await server.call("PATCH", `${odds}/deep`, grown, { contentType: "application/json-patch+json" }),
  ])
    assert.equal(`${refused.status} ${refused.body.message}`, "400 the object has more than 1000 levels");
  for (const [collection, base] of [
    [odds, odd],
    [configMaps, map],
  ] as const)
    for (const metadata of [5, "text", [1], true]) {
      const made = await server.call("POST", collection, { ...base, metadata });
      assert.equal(made.status, 400);
      assert.match(made.body.message, /cannot unmarshal \w+ into Go struct field \w+\.metadata of type an object/);
      const applied = await server.call("PATCH", `${collection}/o?fieldManager=a`, { ...base, metadata }, apply);
      assert.equal(applied.status, 400);
      assert.match(applied.body.message, /metadata is no object, but/);
    }
  for (const head of [{ apiVersion: 5 }, { apiVersion: ["v1"] }, { kind: { a: 1 } }]) {
    const refused = await server.call("PATCH", `${configMaps}/o?fieldManager=a`, { ...map, ...head }, apply);
    assert.equal(refused.status, 400);
    assert.match(refused.body.message, /error decoding YAML: (apiVersion|kind) is no text, but/);
  }
  const labelled = { ...map, metadata: { labels: 5 } };
  assert.match(
    (await server.call("PATCH", `${configMaps}/o?fieldManager=a`, labelled, apply)).body.message,
    /\.metadata\.labels: expected map, got number/,
  );
});

test("a definition without versions or names is refused with the missing fields", async () => {
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  for (const [spec, field] of [
    [null, "spec.versions"],
    [{}, "spec.names.plural"],
    [{ group: "a.example", scope: "Namespaced", versions: [], names: { plural: "bs" } }, "spec.names.kind"],
  ] as const) {
    const { status, body } = await server.call("POST", path, { metadata: { name: "bs.a.example" }, spec });
    assert.equal(status, 422, body.message);
    assert.ok(
      body.details.causes.some((cause: Json) => cause.field === field),
      body.message,
    );
  }
});

test("a dry run returns the result and stores nothing; unknown fields are refused, reported or ignored", async () => {
  const dry = await server.call("POST", `${configMaps}?dryRun=All`, configMap("dry"));
  assert.equal(dry.status, 201);
  assert.equal((await server.call("GET", `${configMaps}/dry`)).status, 404);
  const odd = { ...configMap("odd"), nonsense: 1 };
  const strict = await server.call("POST", `${configMaps}?fieldValidation=Strict`, odd);
  assert.equal(
    strict.body.message,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "nonsense"',
  );
  const twice = await server.call(
    "POST",
    `${configMaps}?fieldValidation=Strict`,
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"odd"},"data":{"a":"1","a":"2"}}',
  );
  assert.match(twice.body.message, /duplicate field "data.a"/);
  const warned = await server.call("POST", configMaps, odd);
  assert.equal(warned.headers["warning"], '299 - "unknown field \\"nonsense\\""');
});

test("finalizers keep an object until the last is removed, and a precondition protects a different object", async () => {
  const made = await server.call("POST", configMaps, {
    ...configMap("kept"),
    metadata: { name: "kept", finalizers: ["test/keep"] },
  });
  const wrong = await server.call("DELETE", `${configMaps}/kept`, { preconditions: { uid: "other" } });
  assert.equal(wrong.status, 409);
  const deleted = await server.call("DELETE", `${configMaps}/kept`, { propagationPolicy: "Foreground" });
  assert.deepEqual(deleted.body.metadata.finalizers, ["test/keep", "foregroundDeletion"]);
  assert.equal(deleted.body.metadata.uid, made.body.metadata.uid);
  await server.call("PATCH", `${configMaps}/kept`, { metadata: { finalizers: null } }, merge);
  assert.equal((await server.call("GET", `${configMaps}/kept`)).status, 404);
});

test("a missing or terminating namespace accepts no objects, and ends when its finalizer is removed", async () => {
  assert.equal(
    (await server.call("POST", "/api/v1/namespaces/nowhere/configmaps", configMap("x"))).body.message,
    'namespaces "nowhere" not found',
  );
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "ending" } });
  const ending = await server.call("DELETE", "/api/v1/namespaces/ending");
  assert.equal(ending.body.status.phase, "Terminating");
  assert.equal((await server.call("POST", "/api/v1/namespaces/ending/configmaps", configMap("x"))).status, 403);
  const { body } = await server.call("GET", "/api/v1/namespaces/ending");
  const finalized = await server.call("PUT", "/api/v1/namespaces/ending/finalize", {
    ...body,
    spec: { finalizers: [] },
  });
  assert.equal(finalized.status, 200, finalized.text);
  assert.equal((await server.call("GET", "/api/v1/namespaces/ending")).status, 404);
});

test("after a restart, objects, versions and watches continue", async () => {
  const made = await server.call("POST", configMaps, configMap("lasting"));
  await server.stop();
  await server.start();
  const found = await server.call("GET", `${configMaps}/lasting`);
  assert.equal(found.body.metadata.resourceVersion, made.body.metadata.resourceVersion);
  const resumed = await server.watch(
    `${configMaps}?watch=true&resourceVersion=${made.body.metadata.resourceVersion}`,
    (events) => events.length > 0,
    async () => {
      await server.call("DELETE", `${configMaps}/lasting`);
    },
  );
  assert.equal(resumed[0].type, "DELETED");
  const future = await server.call("GET", `${configMaps}?watch=true&resourceVersion=99999999`);
  assert.deepEqual([future.status, future.body.details.causes[0].reason], [504, "ResourceVersionTooLarge"]);
  const old = await server.watch(`${configMaps}?watch=true&resourceVersion=1`, (events) => events.length > 0);
  assert.deepEqual([old[0].type, old[0].object.code], ["ERROR", 410]);
});

test("a warning may repeat any text of the client, and the server continues", async () => {
  const answer = await server.call("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", {
    metadata: { name: "wide" },
    "日本\u007F\u0007": 1,
  });
  assert.equal(answer.status, 201, answer.text);
  const warning = Buffer.from(String(answer.headers["warning"]), "latin1").toString("utf8");
  assert.equal(warning, String.raw`299 - "unknown field \"日本 \u0007\""`);
});

test("clients may cache an OpenAPI v3 document for a year under the URL that the index names", async () => {
  const index = await server.call("GET", "/openapi/v3");
  const url = index.body.paths["apis/apps/v1"].serverRelativeURL as string;
  const document = await server.call("GET", url);
  assert.equal(document.headers["cache-control"], "public, immutable");
  const keptMs = Date.parse(String(document.headers["expires"])) - Date.parse(String(document.headers["date"]));
  assert.ok(keptMs > 364 * 86_400_000, `${keptMs} ms`);
  const other = await server.call("GET", url.replace(/hash=.*/, "hash=0"));
  assert.deepEqual([other.headers["cache-control"], other.headers["expires"]], ["no-cache, private", undefined]);
});

test("OpenAPI v3 documents describe types and fields, but not the parameters of each operation again", async () => {
  const { body } = await server.call("GET", "/openapi/v3/apis/apps/v1");
  const { parameters, patch } = body.paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
  const all = [...parameters, ...patch.parameters] as { name: string; description?: string }[];
  assert.ok(all.some(({ name }) => name === "fieldValidation"));
  assert.deepEqual(
    all.filter(({ description }) => description !== undefined),
    [],
  );
  const { properties } = body.components.schemas["io.k8s.api.apps.v1.Deployment"];
  assert.match(properties.spec.description, /desired behavior/);
});
