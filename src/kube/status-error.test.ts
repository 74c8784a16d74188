import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOfStatus } from "./status-error.ts";

const subject = { verb: "create", object: "Pod shop/web" };
const refused = (httpStatus: number, status?: object): readonly unknown[] => {
  const body = status === undefined ? "" : JSON.stringify({ kind: "Status", message: "no", ...status });
  const { kind, code, reason } = errorOfStatus(subject, httpStatus, body);
  return [kind, code, reason];
};

test("a refusal has the code of the server's reason, else of the HTTP status, and keeps the server's message", () => {
  assert.deepEqual(refused(404, { reason: "NotFound" }), ["user", "not-found", "NotFound"]);
  assert.deepEqual(refused(410, { reason: "Expired" }), ["transient", "gone", "Expired"]);
  assert.deepEqual(refused(503), ["transient", "unavailable", "503"]);
  assert.deepEqual(refused(418), ["user", "api-server", "418"]);
});

test("a kind without a definition is reported as such, and not as a missing object", () => {
  const list = { verb: "list", object: "canaries in all namespaces" };
  const { kind, code, message, hint } = errorOfStatus(list, 404, "404 page not found\n");
  assert.deepEqual([kind, code], ["user", "not-found"]);
  assert.equal(message, "list of canaries in all namespaces: the API server does not serve this kind");
  assert.match(hint ?? "", /^install its definition: serin install/);
});

test("a webhook's own reason is not reported as a missing right, even with 403", () => {
  for (const reason of ["PolicyDenied", "constructor"])
    assert.deepEqual(refused(403, { reason }), ["user", "api-server", reason]);
});

test("a refusal's cause wins over its reason, as for a namespace that is being deleted", () => {
  const details = { causes: [{ reason: "NamespaceTerminating", field: "metadata.namespace" }] };
  assert.deepEqual(refused(403, { reason: "Forbidden", details }), ["user", "forbidden", "NamespaceTerminating"]);
});

test("only the authorizer's refusal leads to the user's rights, and a namespace that ends leads to its end", () => {
  const hintOf = (message: string, more: object = {}): string | undefined =>
    errorOfStatus(subject, 403, JSON.stringify({ kind: "Status", reason: "Forbidden", message, ...more })).hint;
  const rights = "the user may not do this: check with kubectl auth can-i";
  assert.equal(hintOf('pods is forbidden: User "jane" cannot create resource "pods" in API group ""'), rights);
  assert.equal(hintOf('forbidden: User "jane" cannot get path "/metrics"'), rights);
  assert.equal(errorOfStatus(subject, 403, "").hint, rights);
  assert.match(
    hintOf('pods "web" is forbidden: exceeded quota: small') ?? "",
    /^the ResourceQuota small of the namespace/,
  );
  assert.equal(hintOf('pods "web" is forbidden: violates PodSecurity "restricted:latest"'), undefined);
  const details = { causes: [{ reason: "NamespaceTerminating", field: "metadata.namespace" }] };
  assert.equal(
    hintOf("pods is forbidden: unable to create new content in namespace shop because it is being terminated", {
      details,
    }),
    "the namespace is being deleted: wait until kubectl get namespaces no longer shows it, and try again",
  );
});

test("a webhook of others that does not answer is a transient fault, with what to do", () => {
  const message =
    'Internal error occurred: failed calling webhook "pods.policies.example.com": failed to call webhook: connection refused';
  const body = JSON.stringify({ kind: "Status", reason: "InternalError", message });
  const { kind, hint } = errorOfStatus(subject, 500, body);
  assert.equal(kind, "transient");
  assert.match(hint ?? "", /pods\.policies\.example\.com, which is not the mesh's, does not answer: start its server/);
});

test("a busy server's time to wait comes from its header, else from its Status", () => {
  const waitMs = (header: string | undefined, details: object = {}): number | undefined =>
    errorOfStatus(subject, 429, JSON.stringify({ kind: "Status", details }), header).retryAfterMs;
  assert.equal(waitMs("3"), 3_000);
  assert.equal(waitMs(undefined, { retryAfterSeconds: 2 }), 2_000);
  assert.equal(waitMs(undefined), undefined);
  assert.equal(waitMs("Wed, 21 Oct 2026 07:28:00 GMT"), undefined);
});
