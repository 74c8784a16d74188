// Cases in which this server once differed from kube-apiserver. test/interop/kube-apiserver compares many more.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

const server = new ServerHarness();
const maps = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, more: object = {}, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  ...more,
});

before(async () => {
  await server.start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "default" },
  });
});
after(async () => await server.remove());

async function patch(path: string, kind: string, body: unknown): Promise<Answer> {
  return await server.call("PATCH", path, body, { contentType: `application/${kind}` });
}

test("fields that admission and allocators set have no manager, and empty structs have none either", async () => {
  const spec = { containers: [{ name: "main", image: "a" }] };
  const pod = (
    await server.call("POST", "/api/v1/namespaces/default/pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "managed" },
      spec,
    })
  ).body;
  const owned = pod.metadata.managedFields[0].fieldsV1["f:spec"];
  assert.deepEqual(pod.spec.serviceAccountName, "default");
  for (const field of [".", "f:serviceAccountName", "f:volumes", "f:priority", "f:tolerations"])
    assert.equal(owned[field], undefined, field);
  const service = (
    await server.call("POST", "/api/v1/namespaces/default/services", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "managed" },
      spec: { ports: [{ port: 80 }] },
    })
  ).body;
  assert.match(service.spec.clusterIP, /^10\.96\./);
  assert.equal(service.metadata.managedFields[0].fieldsV1["f:spec"]["f:clusterIP"], undefined);
});

test("zero values that Go omits are not stored, but pointers to zero are", async () => {
  const created = (await server.call("POST", maps, configMap("zero", { data: {}, immutable: false }))).body;
  assert.equal("data" in created, false);
  assert.equal(created.immutable, false);
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "zero" },
    spec: {
      hostNetwork: false,
      containers: [{ name: "main", image: "a", stdin: false, env: [{ name: "A", value: "" }] }],
    },
  };
  const { spec } = (await server.call("POST", "/api/v1/namespaces/default/pods", pod)).body;
  assert.equal("hostNetwork" in spec, false);
  assert.deepEqual(spec.containers[0].env, [{ name: "A" }]);
});

test("an object that leaves a watch's selector is reported as deleted with its last matching state", async () => {
  const { body } = await server.call("POST", maps, configMap("leaving", {}, { labels: { seen: "yes" } }));
  await patch(`${maps}/leaving`, "merge-patch+json", { metadata: { labels: { seen: "no" } } });
  const [event] = await server.watch(
    `${maps}?watch=true&labelSelector=seen%3Dyes&resourceVersion=${body.metadata.resourceVersion}`,
    (events) => events.length === 1,
  );
  assert.equal(event.type, "DELETED");
  assert.equal(event.object.metadata.labels.seen, "yes");
  assert.ok(Number(event.object.metadata.resourceVersion) > Number(body.metadata.resourceVersion));
});

test("a watch by the old path streams, and a path of one object returns the object", async () => {
  const isOfWatch = (events: Json[]): boolean => events.length > 0;
  const [event] = await server.watch("/api/v1/watch/namespaces/default/serviceaccounts", isOfWatch);
  assert.equal(event.type, "ADDED");
  assert.equal((await server.call("GET", `${maps}/zero?watch=true`)).body.kind, "ConfigMap");
});

test("options that contradict each other are refused with their field", async () => {
  const refusals: readonly (readonly [string, string])[] = [
    [`${maps}?resourceVersionMatch=Exact`, "resourceVersionMatch is forbidden unless resourceVersion is provided"],
    [`${maps}?sendInitialEvents=true&resourceVersion=1`, "sendInitialEvents is forbidden for list"],
    [
      `${maps}?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1`,
      "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    ],
  ];
  for (const [path, words] of refusals) {
    const { status, body } = await server.call("GET", path);
    assert.equal(status, 422);
    assert.ok(body.message.includes(words), body.message);
    assert.equal(body.details.group, "meta.k8s.io");
  }
  assert.equal((await server.call("GET", `${maps}?limit=many`)).status, 400);
  assert.equal((await server.call("POST", `${maps}?dryRun=Some`, configMap("dry"))).status, 422);
  assert.equal(
    (
      await server.call("DELETE", `${maps}/zero`, {
        kind: "DeleteOptions",
        apiVersion: "v1",
        propagationPolicy: "Orphan",
        orphanDependents: true,
      })
    ).status,
    422,
  );
});

test("invalid label selectors are refused", async () => {
  for (const selector of ["a=b,", "UPPER/case=a", "a=-b", "a>x", "-a"])
    assert.equal(
      (await server.call("GET", `${maps}?labelSelector=${encodeURIComponent(selector)}`)).status,
      400,
      selector,
    );
  assert.equal(
    (await server.call("GET", `${maps}?labelSelector=${encodeURIComponent("in in (in,notin), notin")}`)).status,
    200,
  );
});

test("a creation must not have a resource version, and a replacement must have a name", async () => {
  const created = await server.call("POST", maps, configMap("versioned", {}, { resourceVersion: "5" }));
  assert.equal(created.status, 500);
  assert.match(created.body.message, /resourceVersion should not be set on objects to be created/);
  assert.equal(
    (await server.call("PUT", `${maps}/zero`, { apiVersion: "v1", kind: "ConfigMap", metadata: {} })).status,
    400,
  );
});

test("creating an object fails while an object with its name is being deleted, and the error says so", async () => {
  await server.call("POST", maps, configMap("ending", {}, { finalizers: ["example.com/hold"] }));
  await server.call("DELETE", `${maps}/ending`);
  const { status, body } = await server.call("POST", maps, configMap("ending"));
  assert.equal(status, 409);
  assert.match(body.message, /^object is being deleted: /);
});

test("JSON patches count from a list's end, and can replace an absent value", async () => {
  await server.call("POST", "/apis/apps/v1/namespaces/default/deployments", {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "patched" },
    spec: {
      selector: { matchLabels: { a: "b" } },
      template: {
        metadata: { labels: { a: "b" } },
        spec: {
          containers: [
            { name: "one", image: "a" },
            { name: "two", image: "b" },
          ],
        },
      },
    },
  });
  const { body } = await patch("/apis/apps/v1/namespaces/default/deployments/patched", "json-patch+json", [
    { op: "remove", path: "/spec/template/spec/containers/-1" },
    { op: "replace", path: "/metadata/labels", value: { new: "yes" } },
  ]);
  assert.deepEqual(
    body.spec.template.spec.containers.map((container: Json) => container.name),
    ["one"],
  );
  assert.deepEqual(body.metadata.labels, { new: "yes" });
});

test("a scale can be applied, and its field then has that owner", async () => {
  const path = "/apis/apps/v1/namespaces/default/deployments/patched/scale?fieldManager=scaler&force=true";
  const { status, body } = await patch(path, "apply-patch+yaml", {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name: "patched" },
    spec: { replicas: 4 },
  });
  assert.equal(status, 200);
  assert.equal(body.spec.replicas, 4);
  const { metadata } = (await server.call("GET", "/apis/apps/v1/namespaces/default/deployments/patched")).body;
  const entry = metadata.managedFields.find((each: Json) => each.manager === "scaler");
  assert.deepEqual([entry.subresource, entry.fieldsV1], ["scale", { "f:spec": { "f:replicas": {} } }]);
});

test("an applied configuration with an unknown field is refused, whatever fieldValidation says", async () => {
  const { status, body } = await patch(`${maps}/applied?fieldManager=a`, "apply-patch+yaml", {
    ...configMap("applied"),
    extra: 1,
  });
  assert.equal(status, 500);
  assert.match(body.message, /\.extra: field not declared in schema/);
});

test("deleting a job orphans its pods by default, with a warning", async () => {
  const spec = { template: { spec: { restartPolicy: "Never", containers: [{ name: "a", image: "b" }] } } };
  await server.call("POST", "/apis/batch/v1/namespaces/default/jobs", {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "once" },
    spec,
  });
  const { body, headers } = await server.call("DELETE", "/apis/batch/v1/namespaces/default/jobs/once");
  assert.deepEqual(body.metadata.finalizers, ["orphan"]);
  assert.match(String(headers["warning"]), /child pods are preserved by default/);
});

test("a definition whose default violates its schema is refused", async () => {
  const version = {
    name: "v1",
    served: true,
    storage: true,
    schema: { openAPIV3Schema: { type: "object", properties: { a: { type: "string", default: 1 } } } },
  };
  const definition = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: [version],
    },
  };
  const { status, body } = await server.call(
    "POST",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    definition,
  );
  assert.equal(status, 422);
  assert.match(body.message, /properties\[a\]\.default: Invalid value: "integer":/);
});

test("a short name belongs to one definition of its group, and definitions of other groups may have it too", async () => {
  const defined = async (plural: string, group: string, more: object): Promise<string[][]> => {
    const kind = plural.slice(0, -1);
    const { body } = await server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
      metadata: { name: `${plural}.${group}` },
      spec: {
        group,
        scope: "Namespaced",
        names: { plural, singular: kind, kind: kind.toUpperCase(), ...more },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
      },
    });
    const conditions: Json[] = body.status.conditions;
    return conditions.map(({ type, status, reason, message }) => [`${type}=${status}`, reason, message]);
  };
  const accepted = [
    ["NamesAccepted=True", "NoConflicts", "no conflicts found"],
    ["Established=True", "InitialNamesAccepted", "the initial names have been accepted"],
  ];
  const refused = (reason: string, name: string): string[][] => [
    ["NamesAccepted=False", reason, `"${name}" is already in use`],
    ["Established=False", "NotAccepted", "not all names are accepted"],
  ];
  assert.deepEqual(await defined("apples", "one.example", { shortNames: ["ap"] }), accepted);
  assert.deepEqual(await defined("apricots", "two.example", { shortNames: ["ap"] }), accepted);
  assert.deepEqual(
    await defined("apricots", "one.example", { shortNames: ["ac", "ap"] }),
    refused("ShortNamesConflict", "ap"),
  );
  assert.deepEqual(await defined("pears", "one.example", { singular: "apple" }), refused("SingularConflict", "apple"));
  assert.deepEqual(await defined("plums", "one.example", { kind: "APPLE" }), refused("KindConflict", "APPLE"));
  assert.equal((await server.call("GET", "/apis/two.example/v1/apricots")).status, 200);
  assert.equal((await server.call("GET", "/apis/one.example/v1/apricots")).status, 404);
});

test("each request of a deprecated version of a custom resource is answered with a warning", async () => {
  const version = (name: string, more: object): object => ({
    name,
    served: true,
    storage: name === "v1",
    schema: { openAPIV3Schema: { type: "object" } },
    ...more,
  });
  const made = await server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "olds.deprecated.example" },
    spec: {
      group: "deprecated.example",
      scope: "Namespaced",
      names: { plural: "olds", singular: "old", kind: "Old", listKind: "OldList" },
      versions: [version("v1beta1", { deprecated: true }), version("v1", {})],
    },
  });
  assert.equal(made.status, 201, made.text);
  const warningOf = async (name: string): Promise<unknown> =>
    (await server.call("GET", `/apis/deprecated.example/${name}/namespaces/default/olds`)).headers["warning"];
  assert.equal(
    await warningOf("v1beta1"),
    '299 - "deprecated.example/v1beta1 Old is deprecated; use deprecated.example/v1 Old"',
  );
  assert.equal(await warningOf("v1"), undefined);
});

test("/metrics counts requests by verb, resource and answer, and needs the right to read it", async () => {
  const maps = "/api/v1/namespaces/default/configmaps";
  for (const name of ["none", "gone"]) assert.equal((await server.call("GET", `${maps}/${name}`)).status, 404);
  await server.call("GET", "/apis/nobody.example/v1/things");
  const { status, text } = await server.call("GET", "/metrics");
  assert.equal(status, 200);
  const labels = 'verb="GET",group="",version="v1",resource="configmaps",subresource="",scope="resource"';
  assert.match(
    text,
    new RegExp(`^apiserver_request_total\\{${labels},component="apiserver",dry_run="",code="404"\\} \\d+$`, "m"),
  );
  assert.match(text, /^apiserver_request_duration_seconds_count\{verb="GET"/m);
  assert.match(text, /^apiserver_current_inflight_requests\{request_kind="readOnly"\} 0$/m);
  assert.match(text, /^process_resident_memory_bytes \d/m);
  assert.doesNotMatch(text, /nobody\.example/);
  assert.equal((await server.call("GET", "/metrics", undefined, { anonymous: true })).status, 403);
});
