import assert from "node:assert/strict";
import { test } from "node:test";
import { validate } from "./admission.ts";

const kind = { group: "gateway.networking.k8s.io", version: "v1", kind: "HTTPRoute" };

test("an object that its parser refuses is denied with every fault at its field", () => {
  const object = { metadata: { name: "r" }, spec: { hostnames: ["UPPER"], rules: [{ backendRefs: [{ name: "a" }] }] } };
  const { response } = validate({ request: { uid: "1", kind, operation: "CREATE", object } });
  assert.equal(response.allowed, false);
  assert.match(
    response.status?.message ?? "",
    /spec\.hostnames\[0\]: .*\n?.*spec\.rules\[0\]\.backendRefs\[0\]\.port: is required/s,
  );
});

test("good objects, deletions and kinds without a parser pass", () => {
  const good = validate({
    request: { uid: "1", kind, operation: "CREATE", object: { metadata: { name: "r" }, spec: { future: 1 } } },
  });
  assert.deepEqual(good.response, {
    uid: "1",
    allowed: true,
    warnings: ["spec.future: is not known and has no effect"],
  });
  assert.equal(validate({ request: { uid: "2", kind, operation: "DELETE" } }).response.allowed, true);
  assert.equal(
    validate({ request: { uid: "3", kind: { group: "x", version: "v1", kind: "Y" }, operation: "CREATE", object: {} } })
      .response.allowed,
    true,
  );
});

test("every kind of Istio is validated in every version, and fields without effect get a warning", () => {
  const review = (group: string, kindName: string, object: object): ReturnType<typeof validate>["response"] =>
    validate({
      request: {
        uid: "1",
        name: "reviews",
        kind: { group, version: "v1alpha3", kind: kindName },
        operation: "UPDATE",
        object,
      },
    }).response;
  const object = {
    metadata: { name: "reviews" },
    spec: { hosts: ["reviews"], http: [{ route: [{ destination: {} }] }] },
  };
  assert.deepEqual(review("networking.istio.io", "VirtualService", object), {
    uid: "1",
    allowed: false,
    status: {
      code: 422,
      message: 'VirtualService "reviews" is not valid:\nspec.http[0].route[0].destination.host: is required',
    },
  });
  assert.equal(
    review("security.istio.io", "AuthorizationPolicy", { metadata: {}, spec: { action: "DENY" } }).allowed,
    false,
  );
  assert.equal(review("networking.istio.io", "Gateway", { metadata: {}, spec: {} }).allowed, false);
  const filter = review("networking.istio.io", "EnvoyFilter", { metadata: {}, spec: { configPatches: [] } });
  assert.deepEqual([filter.allowed, filter.warnings?.length], [true, 1]);
});

test("an EnvoyFilter whose patch Envoy would reject is denied at the field, and unknown fields get a warning", () => {
  const judge = (
    value: object,
  ): { readonly allowed: boolean; readonly message: string; readonly warnings: readonly string[] } => {
    const object = {
      metadata: { name: "a", namespace: "shop" },
      spec: { configPatches: [{ applyTo: "CLUSTER", patch: { operation: "MERGE", value } }] },
    };
    const { response } = validate({
      request: {
        uid: "1",
        kind: { group: "networking.istio.io", version: "v1alpha3", kind: "EnvoyFilter" },
        operation: "CREATE",
        name: "a",
        object,
      },
    });
    return { allowed: response.allowed, message: response.status?.message ?? "", warnings: response.warnings ?? [] };
  };
  assert.deepEqual(judge({ connect_timeout: "1s" }), { allowed: true, message: "", warnings: [] });
  const bad = judge({ connect_timeout: "soon" });
  assert.equal(bad.allowed, false);
  assert.match(
    bad.message,
    /spec\.configPatches\[0\]\.patch\.value\.connect_timeout: is not a valid google\.protobuf\.Duration: "soon"/,
  );
  assert.match(
    judge({ connect_timeut: "1s" }).warnings.join(),
    /connect_timeut: is not a field of envoy\.config\.cluster\.v3\.Cluster/,
  );
});
