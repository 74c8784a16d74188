import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Json } from "./server-harness.ts";

// What clients such as kubectl, Helm, Argo CD and Flux rely on beyond the plain verbs.
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
