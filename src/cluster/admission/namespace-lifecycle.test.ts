import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "../store/testing/memory-store.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import type { AdmissionRequest } from "./request.ts";
import { admissionRequest, answerOf } from "./testing/admission-request.ts";

const namespaces = [
  { metadata: { name: "shop" }, status: { phase: "Active" } },
  { metadata: { name: "gone", deletionTimestamp: "2026-01-01T00:00:00Z" }, status: { phase: "Terminating" } },
];

async function answer(resource: string, more: Partial<AdmissionRequest>): Promise<string> {
  const plugin = namespaceLifecycle(await memoryStore({ "/namespaces": namespaces }));
  return await answerOf(plugin, admissionRequest(resource, { metadata: { name: "x" } }, more));
}

const terminating = "unable to create new content in namespace gone because it is being terminated";

test("nothing new comes into a namespace that is missing or ends, and the rest of it can still change", async () => {
  assert.equal(await answer("/configmaps", { namespace: "shop" }), "allowed");
  assert.equal(await answer("/configmaps", { namespace: "none" }), '404 namespaces "none" not found');
  assert.equal(await answer("/configmaps", { namespace: "gone" }), `403 configmaps "x" is forbidden: ${terminating}`);
  for (const operation of ["UPDATE", "DELETE"] as const)
    assert.equal(await answer("/configmaps", { namespace: "gone", operation }), "allowed");
  assert.equal(await answer("/nodes", {}), "allowed");
});

test("evictions, bindings and tokens are new content too", async () => {
  for (const [resource, subresource] of [
    ["/pods", "eviction"],
    ["/pods", "binding"],
    ["/serviceaccounts", "token"],
  ] as const) {
    assert.equal(await answer(resource, { namespace: "shop", subresource }), "allowed");
    assert.match(await answer(resource, { namespace: "gone", subresource }), new RegExp(`forbidden: ${terminating}$`));
  }
});

test("a review of rights does not reveal whether a namespace exists", async () => {
  assert.equal(await answer("authorization.k8s.io/localsubjectaccessreviews", { namespace: "none" }), "allowed");
});

test("the namespaces of the system cannot be deleted", async () => {
  for (const name of ["default", "kube-system", "kube-public"])
    assert.equal(
      await answer("/namespaces", { operation: "DELETE", name }),
      `403 namespaces "${name}" is forbidden: this namespace may not be deleted`,
    );
  assert.equal(await answer("/namespaces", { operation: "DELETE", name: "shop" }), "allowed");
});
