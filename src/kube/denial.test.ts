import assert from "node:assert/strict";
import { test } from "node:test";
import { denialIn, lacksDryRun, refusalHint, unansweredHint } from "./denial.ts";

test("a denial names its webhook or policy, and an answer of the API server itself names none", () => {
  assert.deepEqual(
    denialIn('admission webhook "rev.validation.istio.io" denied the request: configuration is invalid'),
    {
      by: "webhook",
      name: "rev.validation.istio.io",
    },
  );
  assert.deepEqual(denialIn('admission webhook "a.example.com" denied the request without explanation'), {
    by: "webhook",
    name: "a.example.com",
  });
  assert.deepEqual(
    denialIn(`gateways "a" is forbidden: ValidatingAdmissionPolicy 'hosts' with binding 'all' denied request: no host`),
    { by: "policy", name: "hosts" },
  );
  for (const message of [
    'gateways "a" is forbidden: User "jane" cannot create resource "gateways"',
    'Internal error occurred: failed calling webhook "rev.validation.istio.io": context deadline exceeded',
  ])
    assert.equal(denialIn(message), undefined, message);
});

test("a dry run that a webhook does not support is no denial", () => {
  const message = 'admission webhook "a.example.com" does not support dry run';
  assert.deepEqual([lacksDryRun(message), denialIn(message)], [true, undefined]);
});

test("a webhook that does not answer is named with what to do, and the mesh's own leads to the doctor", () => {
  const failed = (name: string): string =>
    `Internal error occurred: failed calling webhook "${name}": failed to call webhook: Post "https://a.b.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`;
  assert.match(
    unansweredHint(failed("pods.policies.example.com")) ?? "",
    /webhook pods\.policies\.example\.com, which is not the mesh's, .*exempt the namespace/,
  );
  for (const own of ["namespace.sidecar-injector.istio.io", "rev.validation.istio.io"])
    assert.match(unansweredHint(failed(own)) ?? "", /serin doctor --kubernetes$/);
  assert.equal(unansweredHint('admission webhook "a.example.com" denied the request: no'), undefined);
});

test("a quota that admits no more, and GKE Autopilot, have hints", () => {
  const quota =
    'services "web" is forbidden: exceeded quota: of-team, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0';
  assert.match(refusalHint(quota) ?? "", /ResourceQuota of-team .*kubectl describe quota of-team/);
  const autopilot = 'admission webhook "a" denied the request: {"[denied by autogke-disallow-hostnamespaces]":["no"]}';
  assert.match(refusalHint(autopilot) ?? "", /^GKE Autopilot .*allow-net-admin/);
  assert.equal(refusalHint('services "web" is forbidden: User "jane" cannot create resource "services"'), undefined);
});
