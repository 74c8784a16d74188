import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

// This file tests the behaviour beyond plain verbs that kubectl, Helm, Argo CD and Flux rely on.
let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
});
after(() => server.remove());

const core = "/api/v1/namespaces/default";
const configMaps = `${core}/configmaps`;
const apply = { contentType: "application/apply-patch+yaml" };

test("a page whose version is forgotten is refused with a token that continues with the newest state", async () => {
  for (const name of ["page-a", "page-b", "page-c"]) await server.call("POST", configMaps, { metadata: { name } });
  const first = (await server.call("GET", `${configMaps}?limit=2`)).body.metadata.continue;
  await server.call("POST", configMaps, { metadata: { name: "page-d" } });
  await server.stop();
  await server.start();
  const refused = await server.call("GET", `${configMaps}?continue=${first}`);
  assert.deepEqual([refused.status, refused.body.reason], [410, "Expired"]);
  assert.match(refused.body.message, /or use the continue token in this response/);
  const page = await server.call("GET", `${configMaps}?limit=1&continue=${refused.body.metadata.continue}`);
  const rest = await server.call("GET", `${configMaps}?continue=${page.body.metadata.continue}`);
  assert.deepEqual(
    [...page.body.items, ...rest.body.items].map((item: Json) => item.metadata.name),
    ["page-c", "page-d"],
  );
});

test("an update creates an object of some kinds, with the right to create, and of others it does not", async () => {
  const lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/made";
  const body = { metadata: { name: "made" }, spec: { holderIdentity: "a" } };
  const rules = [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["update"] }];
  const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
  assert.equal(
    (await server.call("PUT", `${rbac}/roles/updater`, { metadata: { name: "updater" }, rules })).status,
    201,
  );
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "updater" };
  const subjects = [{ kind: "User", name: "eve", apiGroup: "rbac.authorization.k8s.io" }];
  await server.call("POST", `${rbac}/rolebindings`, { metadata: { name: "updater" }, roleRef, subjects });
  const headers = { "impersonate-user": "eve" };
  assert.equal((await server.call("PUT", lease, body, { headers })).status, 403);
  assert.equal((await server.call("PUT", lease, { ...body, metadata: { name: "made", uid: "gone" } })).status, 404);
  assert.equal((await server.call("PUT", lease, body)).status, 201);
  assert.equal((await server.call("PUT", `${configMaps}/made`, { metadata: { name: "made" } })).status, 404);
  const blind = await server.call("PUT", lease, body);
  assert.equal(blind.status, 422);
  assert.match(blind.body.message, /metadata.resourceVersion: Invalid value: 0: must be specified for an update$/);
});

test("an apply creates no object of another name than its path", async () => {
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "other" } };
  const refused = await server.call("PATCH", `${configMaps}/wanted?fieldManager=a`, body, apply);
  assert.equal(refused.status, 400);
  assert.equal(refused.body.message, "the name of the object (other) does not match the name on the URL (wanted)");
  assert.equal((await server.call("GET", `${configMaps}/other`)).status, 404);
});

test("a Service that changes its type loses the fields of its old type, and keeps those that the client changes", async () => {
  const services = `${core}/services`;
  const merge = { contentType: "application/merge-patch+json" };
  const typed = async (type: string, more: Json = {}): Promise<Answer> =>
    await server.call("PATCH", `${services}/moving`, { spec: { type, ...more } }, merge);
  const ports = [{ port: 80 }];
  await server.call("POST", services, { metadata: { name: "moving" }, spec: { type: "LoadBalancer", ports } });
  const plain = (await typed("ClusterIP")).body.spec;
  assert.deepEqual(
    [plain.ports[0].nodePort, plain.externalTrafficPolicy, plain.allocateLoadBalancerNodePorts],
    [undefined, undefined, undefined],
  );
  const named = await typed("ExternalName", { externalName: "a.example.com" });
  assert.deepEqual(
    [named.status, named.body.spec?.clusterIP, named.body.spec?.ipFamilies],
    [200, undefined, undefined],
  );
  await typed("ClusterIP", { externalName: null });
  const other = await typed("ExternalName", { externalName: "a.example.com", clusterIP: "10.96.0.50" });
  assert.equal(other.status, 422);
});

test("a Service with a node port outside the range, a second family or an unknown distribution is refused", async () => {
  const refusals: [Json, RegExp][] = [
    [{ type: "NodePort", ports: [{ port: 80, nodePort: 80 }] }, /nodePort: Invalid value: 80: provided port is not in/],
    [{ ipFamilyPolicy: "RequireDualStack" }, /ipFamilyPolicy: .* Cluster is not configured for dual-stack services$/],
    [{ ipFamilies: ["IPv6"] }, /spec.ipFamilies\[0\]: Invalid value: "IPv6": not configured on this cluster$/],
    [{ trafficDistribution: "Odd" }, /trafficDistribution: Unsupported value: "Odd"/],
  ];
  for (const [spec, message] of refusals) {
    const body = { metadata: { name: "odd" }, spec: { ports: [{ port: 80 }], ...spec } };
    const refused = await server.call("POST", `${core}/services`, body);
    assert.equal(refused.status, 422, JSON.stringify(spec));
    assert.match(refused.body.message, message);
  }
  const headless = { clusterIP: "None", ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv4", "IPv6"] };
  const body = { metadata: { name: "anywhere" }, spec: headless };
  assert.equal((await server.call("POST", `${core}/services`, body)).status, 201);
});

test("a watch ends with a bookmark, and without initial events it begins with the next change", async () => {
  const query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=1";
  const version = (await server.call("GET", configMaps)).body.metadata.resourceVersion;
  const idle = await server.watch(`${configMaps}?${query}&resourceVersion=${version}`, () => false);
  assert.deepEqual(
    idle.map(({ type, object }) => [type, object.metadata.resourceVersion]),
    [["BOOKMARK", version]],
  );
  const skipping = `${query}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`;
  const events = await server.watch(`${core}/serviceaccounts?${skipping}`, () => false);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["BOOKMARK"],
  );
});

test("the server warns that it does not call the conversion webhook of a definition", async () => {
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  const webhook = { clientConfig: { url: "https://127.0.0.1:1/" }, conversionReviewVersions: ["v1"] };
  const define = async (plural: string, conversion: Json): Promise<unknown> => {
    const names = { plural, kind: plural.toUpperCase() };
    const versions = [{ name: "v1", served: true, storage: true, schema }];
    const spec = { group: "example.com", scope: "Namespaced", names, versions, conversion };
    const body = { metadata: { name: `${plural}.example.com` }, spec };
    return (await server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)).headers[
      "warning"
    ];
  };
  assert.match(String(await define("odd", { strategy: "Webhook", webhook })), /does not call conversion webhooks/);
  assert.equal(await define("plain", { strategy: "None" }), undefined);
});

test("an apply may change a field of a keyed list whose other manager has given up its claim", async () => {
  const hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/shared";
  const config = (failurePolicy?: string): Json => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "shared" },
    webhooks: [
      {
        name: "a.example.com",
        clientConfig: { url: "https://a.example.com/" },
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        objectSelector: { matchLabels: { is: "absent" } },
        ...(failurePolicy === undefined ? {} : { failurePolicy }),
      },
    ],
  });
  const applied = async (failurePolicy?: string): Promise<readonly [number, string]> => {
    const answer = await server.call("PATCH", `${hooks}?fieldManager=helm`, config(failurePolicy), apply);
    return [answer.status, answer.body.webhooks?.[0].failurePolicy];
  };
  const merge = async (patch: Json): Promise<Json> =>
    (
      await server.call("PATCH", `${hooks}?fieldManager=keeper`, patch, {
        contentType: "application/merge-patch+json",
      })
    ).body;
  assert.deepEqual(await applied("Ignore"), [201, "Ignore"]);
  const closed = await merge({ webhooks: [{ ...config("Fail").webhooks[0] }] });
  assert.deepEqual(await applied(), [200, "Fail"], "an apply without the field leaves it to its manager");
  assert.deepEqual(await applied("Ignore"), [409, undefined]);
  const managedFields = closed.metadata.managedFields.filter(({ manager }: Json) => manager !== "keeper");
  await merge({ metadata: { managedFields } });
  assert.deepEqual(await applied("Ignore"), [200, "Ignore"]);
});
