import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGateway } from "./gateway.ts";
import { parseHttpRoute } from "./http-route.ts";

test("a short HTTPRoute gets every default", () => {
  const parsed = parseHttpRoute({
    metadata: { name: "web", namespace: "shop" },
    spec: {
      parentRefs: [{ name: "edge" }],
      rules: [{ backendRefs: [{ name: "web", port: 80 }], timeouts: { request: "1m30s" } }],
    },
  });
  assert.deepEqual(parsed.errors, []);
  assert.equal(parsed.value?.spec.parentRefs[0]?.kind, "Gateway");
  const rule = parsed.value?.spec.rules[0];
  assert.deepEqual(rule?.matches, [{ path: { type: "PathPrefix", value: "/" }, headers: [], queryParams: [] }]);
  assert.equal(rule?.backendRefs[0]?.weight, 1);
  assert.equal(rule?.timeouts?.requestMs, 90_000);
});

test("every fault of an HTTPRoute is reported at its field", () => {
  const parsed = parseHttpRoute({
    metadata: { name: "web" },
    spec: {
      hostnames: ["Shop.example", "1.2.3.4"],
      rules: [
        {
          matches: [{ path: { type: "Exact", value: "a//b" }, method: "FETCH" }],
          filters: [
            { type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } } },
            { type: "RequestRedirect" },
          ],
          backendRefs: [{ name: "web" }, { name: "b", port: 80, weight: -1 }],
        },
      ],
    },
  });
  assert.deepEqual(parsed.errors.map((issue) => issue.path).sort(), [
    "spec.hostnames[0]",
    "spec.hostnames[1]",
    "spec.rules[0].backendRefs[0].port",
    "spec.rules[0].backendRefs[1].weight",
    "spec.rules[0].filters[1].requestRedirect",
    "spec.rules[0].matches",
    "spec.rules[0].matches[0].method",
    "spec.rules[0].matches[0].path.value",
    "spec.rules[0].matches[0].path.value",
  ]);
});

test("the headers of an HTTPRoute's filters have names of headers, also those that it removes", () => {
  const faults = (modifier: object): readonly string[] =>
    parseHttpRoute({
      metadata: { name: "web" },
      spec: { rules: [{ filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: modifier }] }] },
    }).errors.map(({ path, message }) => `${path.split(".").at(-1) ?? ""}: ${message}`);
  assert.deepEqual(faults({ set: [{ name: "x-a", value: "b" }], remove: ["x-b", "X_c"] }), []);
  assert.deepEqual(faults({ remove: ["x-a", "a b"] }), ['remove: must list HTTP header names, got "a b"']);
  assert.deepEqual(faults({ remove: [""] }), ['remove: must list HTTP header names, got ""']);
  assert.deepEqual(faults({ add: [{ name: "", value: "b" }] }), ['name: must be an HTTP header name, got ""']);
});

test("a Gateway's listeners need unique names, and a selector if they announce one", () => {
  const parsed = parseGateway({
    metadata: { name: "edge" },
    spec: {
      gatewayClassName: "istio",
      listeners: [
        { name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "Selector" } } },
        { name: "http", port: 8080, protocol: "HTTP", tls: {} },
      ],
    },
  });
  assert.deepEqual(parsed.errors.map((issue) => issue.path).sort(), [
    "spec.listeners[0].allowedRoutes.namespaces.selector",
    "spec.listeners[1].name",
    "spec.listeners[1].tls",
  ]);
});
