import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { createMeshInputs } from "../model/mesh-inputs.ts";
import { createFeeds } from "./feeds.ts";

interface Taken {
  readonly inputs: ReturnType<typeof createMeshInputs>;
  readonly refused: string[];
  readonly take: (kind: string, group: string, object: KubernetesObject & { readonly spec: unknown }) => void;
}

function feedsOf(revision: string): Taken {
  const inputs = createMeshInputs(new CollectionGraph());
  const refused: string[] = [];
  const feeds = createFeeds(inputs, revision, (object, issues) =>
    refused.push(`${object.metadata.name ?? ""}: ${issues.map(({ path }) => path).join()}`),
  );
  const take: Taken["take"] = (kind, group, object) =>
    feeds
      .find((feed) => feed.kind.kind === kind && feed.kind.group === group)
      ?.take(`shop/${object.metadata.name ?? ""}`, object);
  return { inputs, refused, take };
}

const networking = "networking.istio.io";
const good = { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] };

test("an object is read with its defaults, only by the control plane of its revision", () => {
  const { inputs, take } = feedsOf("blue");
  const metadata = {
    namespace: "shop",
    labels: { "istio.io/rev": "green" },
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": "x", "istio.io/a": "b" },
  };
  take("VirtualService", networking, { metadata: { ...metadata, name: "other" }, spec: good });
  take("VirtualService", networking, { metadata: { ...metadata, name: "own", labels: {} }, spec: good });
  assert.equal(inputs.virtualServices.get("shop/other"), undefined);
  assert.deepEqual(inputs.virtualServices.get("shop/own")?.spec.tcp, []);
  assert.deepEqual(inputs.virtualServices.get("shop/own")?.annotations, { "istio.io/a": "b" });
});

test("a refused object is reported and keeps its last good version until deleted, and a policy without one denies everything", () => {
  const { inputs, refused, take } = feedsOf("default");
  const metadata = { namespace: "shop", name: "x" };
  take("VirtualService", networking, { metadata, spec: good });
  take("VirtualService", networking, { metadata, spec: { ...good, hots: [] } });
  take("AuthorizationPolicy", "security.istio.io", { metadata, spec: { action: "DENY", rules: [{ form: [] }] } });
  take("VirtualService", networking, { metadata: { ...metadata, name: "y" }, spec: { ...good, hots: [] } });
  assert.deepEqual(inputs.virtualServices.get("shop/x")?.spec.hosts, ["a"]);
  assert.equal(inputs.virtualServices.get("shop/y"), undefined);
  take("VirtualService", networking, {
    metadata: { ...metadata, labels: { "istio.io/rev": "other" } },
    spec: { ...good, hots: [] },
  });
  assert.equal(inputs.virtualServices.get("shop/x"), undefined, "it is another revision's now");
  take("AuthorizationPolicy", "security.istio.io", {
    metadata: { ...metadata, name: "was" },
    spec: { action: "DENY", rules: [{ from: [{ source: { namespaces: ["a"] } }] }] },
  });
  take("AuthorizationPolicy", "security.istio.io", {
    metadata: { ...metadata, name: "was" },
    spec: { action: "DENY", rules: [{ form: [] }] },
  });
  assert.equal(
    inputs.authorizationPolicies.get("shop/was")?.spec.rules[0]?.from.length,
    1,
    "a policy that was good holds as it was",
  );
  assert.deepEqual(inputs.authorizationPolicies.get("shop/x")?.spec.rules, [{ from: [], to: [], when: [] }]);
  assert.deepEqual(refused, ["x: spec.hots", "x: spec.rules[0].form", "y: spec.hots", "was: spec.rules[0].form"]);
});

test("a policy that was never valid denies what its current version selects", () => {
  const { inputs, take } = feedsOf("default");
  const metadata = { namespace: "shop", name: "x" };
  const policy = (app: string, rules: readonly object[]) => ({
    metadata,
    spec: { action: "DENY", selector: { matchLabels: { app } }, rules },
  });
  const selected = (): string | undefined =>
    inputs.authorizationPolicies.get("shop/x")?.spec.selector?.matchLabels?.["app"];
  const faulty = [{ form: [] }];
  for (const app of ["a", "b"]) {
    take("AuthorizationPolicy", "security.istio.io", policy(app, faulty));
    assert.equal(selected(), app);
  }
  take("AuthorizationPolicy", "security.istio.io", policy("c", [{}]));
  take("AuthorizationPolicy", "security.istio.io", policy("d", faulty));
  assert.equal(selected(), "c", "a version that was valid");
});

const changing = (set: Readonly<Record<string, string>>, add: Readonly<Record<string, string>> = {}) => ({
  hosts: ["a"],
  http: [
    {
      headers: { request: { set: { "x-good": "%PROTOCOL%", ...set } } },
      route: [{ destination: { host: "a" }, headers: { response: { add } } }],
    },
  ],
});

test("a stored VirtualService with faulty values of headers serves with these as text, and is reported", () => {
  const { inputs, refused, take } = feedsOf("default");
  const routesOf = (name: string, spec: unknown) => {
    take("VirtualService", networking, { metadata: { namespace: "shop", name }, spec });
    const [route] = inputs.virtualServices.get(`shop/${name}`)?.spec.http ?? [];
    return [route?.headers.request.set, route?.route[0]?.headers.response.add];
  };
  const values = [
    "%COALESCE(5)%",
    "%SPAN_ID%",
    "%QUERY_PARAMS%",
    "%UPSTREAM_METADATA(a:b):5%",
    "%CEL(string(x))%",
    "50%",
  ];
  for (const [index, value] of values.entries()) {
    const text = value.replaceAll("%", "%%");
    assert.deepEqual(routesOf(`x${index}`, changing({ "x.a": value }, { b: value })), [
      { "x-good": "%PROTOCOL%", "x.a": text },
      { b: text },
    ]);
  }
  assert.deepEqual(
    refused,
    values.map(
      (_, index) => `x${index}: spec.http[0].route[0].headers.response.add.b,spec.http[0].headers.request.set.x.a`,
    ),
  );
  for (const value of ["a\nb", "a".repeat(20_000), "%".repeat(10_001)])
    assert.deepEqual(routesOf("long", changing({ a: value })), [{ "x-good": "%PROTOCOL%", a: "" }, {}]);
  assert.deepEqual(routesOf("host", changing({ host: "%SPAN_ID%" })), [{ "x-good": "%PROTOCOL%", host: "" }, {}]);
  assert.deepEqual(routesOf("name", changing({ "a b": "%SPAN_ID%" })), [undefined, undefined]);
  assert.deepEqual(routesOf("other", { ...changing({ a: "%SPAN_ID%" }), hots: [] }), [undefined, undefined]);
});

test("every kind of Istio that translation reads has a feed", () => {
  const inputs = createMeshInputs(new CollectionGraph());
  const fed = new Set(createFeeds(inputs, "default").map(({ kind }) => `${kind.group}/${kind.kind}`));
  const unread = istioKinds.filter((kind) => !fed.has(`${kind.group}/${kind.kind}`)).map((kind) => kind.kind);
  assert.deepEqual(unread, ["WorkloadGroup"]);
});
