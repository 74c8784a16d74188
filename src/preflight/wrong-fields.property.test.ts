import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { wrongFields } from "../base/testing/index.ts";
import { surveyWorkloads, type WorkloadFacts } from "./static-checks/workloads.ts";
import { compareDefinitions } from "./compare/definitions.ts";
import { envoyFilterEffects, type FilteredProxy } from "./compare/envoy-filter-effect.ts";

/** Every variant of the object in which one field of its spec or status is absent or of a wrong type. */
function variants({ metadata, kind, ...rest }: UntypedObject): { title: string; object: UntypedObject }[] {
  return [...wrongFields(rest)].map(({ title, object }) => ({
    title,
    object: { ...(object as object), kind: kind ?? "", metadata },
  }));
}

test("a plan surveys Gateways with fields of a wrong type", () => {
  const nothing = { pods: [], namespaces: [], deployments: [], replicaSets: [], statefulSets: [], daemonSets: [] };
  const facts: WorkloadFacts = { ...nothing, budgets: [], gateways: [], tags: new Map(), connections: new Map() };
  const labels = { "istio.io/rev": "old" };
  const gateway = {
    kind: "Gateway",
    metadata: { name: "front", namespace: "shop", labels },
    spec: { gatewayClassName: "istio", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
    status: { conditions: [{ type: "Programmed", status: "True" }] },
  };
  const survey = (stored: UntypedObject) => surveyWorkloads({ ...facts, gateways: [stored] }, "old").report.gateways;
  assert.equal(survey(gateway).length, 1);
  for (const { title, object } of variants(gateway)) assert.doesNotThrow(() => survey(object), title);
});

test("a plan compares definitions over stored objects with fields of a wrong type", () => {
  const definition = (properties: object, required: readonly string[] = []): UntypedObject => ({
    metadata: { name: "services.a.istio.io" },
    spec: {
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { properties: { spec: { properties, required } } } },
        },
      ],
    },
  });
  const list = (properties: object): object => ({ type: "array", items: { properties } });
  const before = definition({ ports: list({ name: {}, mode: { enum: ["A", "B"] } }), hosts: {} });
  const after = definition({ ports: list({ mode: { enum: ["A"] } }) }, ["class"]);
  const stored = {
    kind: "Service",
    metadata: { name: "web", namespace: "shop" },
    spec: { ports: [{ name: "http", mode: "B" }], hosts: ["web"] },
  };
  const compare = (object: UntypedObject) =>
    compareDefinitions({ before: [before], after: [after], stored: new Map([["services.a.istio.io", [object]]]) });
  assert.equal(compare(stored).filter(({ total }) => total === 1).length, 4);
  for (const { title, object } of variants(stored)) assert.doesNotThrow(() => compare(object), title);
});

test("a plan reports EnvoyFilters with fields of a wrong type", () => {
  const same = { with: new Map<string, never>(), without: new Map<string, never>() };
  const proxy: FilteredProxy = { name: "web", namespace: "shop", labels: { app: "web" }, from: same, to: same };
  const filter = {
    kind: "EnvoyFilter",
    metadata: { name: "f", namespace: "shop" },
    spec: { workloadSelector: { labels: { app: "web" } } },
  };
  const effects = (stored: UntypedObject) => envoyFilterEffects([stored], [proxy], "istio-system");
  assert.equal(effects(filter)[0]?.name, "shop/f");
  for (const { title, object } of variants(filter)) assert.doesNotThrow(() => effects(object), title);
});
