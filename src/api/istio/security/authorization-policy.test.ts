import assert from "node:assert/strict";
import { test } from "node:test";
import { closedPolicySpec, parseAuthorizationPolicy } from "./authorization-policy.ts";
import { parsePeerAuthentication } from "./peer-authentication.ts";

test("a policy's faults are reported at their fields", () => {
  const parsed = parseAuthorizationPolicy({
    metadata: { name: "p" },
    spec: {
      action: "CUSTOM",
      selector: { matchLabels: { app: "a" } },
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "g" }],
      rules: [{ from: [{}], to: [{ operation: { ports: ["http"] } }], when: [{ key: "source.ip" }] }],
    },
  });
  assert.deepEqual(parsed.errors.map((issue) => issue.path).sort(), [
    "spec.provider",
    "spec.rules[0].from[0].source",
    "spec.rules[0].to[0].operation.ports[0]",
    "spec.rules[0].when[0]",
    "spec.selector",
  ]);
});

test("a policy without rules is an ALLOW that matches nothing", () => {
  assert.deepEqual(parseAuthorizationPolicy({ metadata: { name: "deny-all" }, spec: {} }).value?.spec.rules, []);
});

test("port modes need a selector", () => {
  const parsed = parsePeerAuthentication({
    metadata: { name: "p" },
    spec: { mtls: { mode: "STRICT" }, portLevelMtls: { 8080: { mode: "OFF" } } },
  });
  assert.deepEqual(
    parsed.errors.map((issue) => issue.path),
    ["spec.portLevelMtls.8080.mode", "spec.portLevelMtls"],
  );
});

test("an invalid policy is replaced by one that admits nobody", () => {
  const selector = { matchLabels: { app: "a" } };
  const rules = [{ form: [{}] }];
  assert.deepEqual(closedPolicySpec({ metadata: {}, spec: { selector, rules } }), {
    selector,
    targetRefs: [],
    action: "ALLOW",
    provider: undefined,
    rules: [],
  });
  assert.deepEqual(closedPolicySpec({ metadata: {}, spec: { selector, action: "DENY", rules } })?.rules, [
    { from: [], to: [], when: [] },
  ]);
  assert.equal(closedPolicySpec({ metadata: {}, spec: { action: "CUSTOM" } })?.action, "DENY");
  assert.equal(closedPolicySpec({ metadata: {}, spec: { action: "AUDIT", rules } }), undefined);
});

test("values that no request has are accepted with a warning, because a DENY rule with such a value denies no request", () => {
  const parsed = parseAuthorizationPolicy({
    metadata: { name: "p" },
    spec: {
      action: "DENY",
      rules: [
        {
          to: [
            {
              operation: {
                ports: ["80"],
                methods: ["get", "GET", "FETCH", "G*"],
                paths: ["admin", "/admin", "*", "/admin*", "*/admin", "/a/*/b", "/a/{*}/b"],
                notHosts: ["a b", "a.example/x", "a.example:80"],
              },
            },
          ],
        },
      ],
    },
  });
  assert.deepEqual(parsed.errors, []);
  const at = "spec.rules[0].to[0].operation";
  assert.deepEqual(
    parsed.warnings.map(({ path, message }) => `${path.replace(at, "")}: ${message}`),
    [
      '.notHosts[0]: matches no request, because hosts have no blanks and slashes, got "a b"',
      '.notHosts[1]: matches no request, because hosts have no blanks and slashes, got "a.example/x"',
      '.methods[0]: matches no request, because methods are in upper case: write GET, got "get"',
      '.paths[0]: matches no request, because paths begin with "/", got "admin"',
      '.paths[5]: matches a "*" in the path itself; write {*} for one segment, or a "*" at one end, got "/a/*/b"',
    ],
  );
});
