import assert from "node:assert/strict";
import { test } from "node:test";
import * as library from "@bufbuild/cel";
import { MeteredCel } from "../../base/cel/index.ts";
import { resolveSettings } from "../settings.ts";
import { defaultStableChannel, revisionStableChannel } from "./stable-channel.ts";

interface Policy {
  readonly spec: {
    readonly matchConstraints: { readonly objectSelector?: unknown };
    readonly validations: readonly { readonly expression: string }[];
  };
}

const { value: settings } = resolveSettings({ specs: [{ revision: "1-x" }] }, { hub: "h", tag: "t" });
assert.ok(settings);
const objects = [...defaultStableChannel("default", settings), ...revisionStableChannel(settings)];
const policies = objects
  .filter(({ kind }) => kind === "ValidatingAdmissionPolicy")
  .map((policy) => policy as unknown as Policy);

test("the stable channel's policies have upstream's names, and a revision's policy applies only to that revision's objects", () => {
  assert.deepEqual(
    objects.map(({ kind, metadata }) => `${kind ?? ""} ${metadata.name ?? ""}`),
    [
      "ValidatingAdmissionPolicy stable-channel-default-policy.istio.io",
      "ValidatingAdmissionPolicyBinding stable-channel-default-policy-binding.istio.io",
      "ValidatingAdmissionPolicy stable-channel-policy-1-x-istio-system.istio.io",
      "ValidatingAdmissionPolicyBinding stable-channel-policy-binding-1-x-istio-system.istio.io",
    ],
  );
  const selectors = policies.map(({ spec }) => spec.matchConstraints.objectSelector);
  assert.deepEqual(selectors, [
    undefined,
    { matchExpressions: [{ key: "istio.io/rev", operator: "In", values: ["1-x"] }] },
  ]);
});

test("the stable channel refuses upstream's experimental kinds and fields, and nothing else", () => {
  const cel = new MeteredCel(library, { variables: { object: library.CelScalar.DYN } });
  const validations = policies[0]?.spec.validations ?? [];
  const accepts = (object: object): boolean =>
    validations.every(({ expression }) => cel.compile(expression)({ object }).value === true);
  for (const kind of ["EnvoyFilter", "WasmPlugin", "ProxyConfig"])
    assert.equal(accepts({ kind, spec: {} }), false, kind);
  const telemetry = (spec: object): boolean => accepts({ kind: "Telemetry", spec });
  assert.equal(telemetry({ metrics: [{ reportingInterval: "10s" }] }), false);
  assert.equal(telemetry({ tracing: [{}, { useRequestIdForTraceSampling: false }] }), false);
  assert.equal(telemetry({ accessLogging: [{ filter: {} }] }), false);
  assert.equal(
    telemetry({ metrics: [{ providers: [] }], tracing: [{ spanReporting: {} }], accessLogging: [{}] }),
    true,
  );
  const authorization = (source: object): boolean =>
    accepts({ kind: "AuthorizationPolicy", spec: { rules: [{ to: [] }, { from: [{ source }] }] } });
  assert.equal(authorization({ trustDomains: ["a"] }), false);
  assert.equal(authorization({ notTrustDomains: ["a"] }), false);
  assert.equal(authorization({ principals: ["a"] }), true);
  assert.equal(accepts({ kind: "Telemetry" }), true);
  assert.equal(accepts({ kind: "VirtualService", spec: { hosts: [] } }), true);
});
