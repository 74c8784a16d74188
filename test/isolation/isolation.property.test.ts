import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { KubernetesObject } from "../../src/api/index.ts";
import { createFeeds } from "../../src/controlplane/ingest/feeds.ts";
import { config, createModelFixture, testMultiClusterKinds } from "../../src/controlplane/testing/model-fixture.ts";
import { Admission } from "./admission.ts";
import { Range, smallest } from "./attack.ts";
import { referencedKinds } from "./attacker-secrets.ts";
import { attackerObject } from "./attacker-objects.ts";

const admission = new Admission();

/** How many attacks to try. docs/testing.md describes longer runs. */
const runs = Number(process.env["SERIN_ISOLATION_RUNS"] ?? 60);

/** Only the cluster's administrators may create these kinds, so the attacker cannot. */
const administrators = [
  "GatewayClass",
  "IngressClass",
  "MutatingWebhookConfiguration",
  "Namespace",
  "Node",
  "ValidatingWebhookConfiguration",
];

test("the attacker creates objects of each kind that the control plane reads", () => {
  const { inputs } = createModelFixture();
  const multiCluster = { kinds: testMultiClusterKinds, warned: () => undefined };
  const feeds = createFeeds(inputs, "default", undefined, multiCluster).map(({ kind }) => kind);
  const read = new Set([...feeds, ...referencedKinds].map(({ group, kind }) => `${group}/${kind}`));
  const made = new Set(
    admission.kinds.flatMap((kind, index) => {
      const attempts = Array.from({ length: 40 }, (_, attempt) => index * 1000 + attempt);
      return attempts.some((seed) => attackerObject(admission, kind, seed) !== undefined)
        ? `${kind.group}/${kind.kind}`
        : [];
    }),
  );
  assert.deepEqual(
    [...made].filter((kind) => !read.has(kind)),
    [],
  );
  assert.deepEqual(
    new Set([...read].filter((kind) => !made.has(kind)).map((kind) => kind.split("/")[1])),
    new Set(administrators),
  );
});

test("the harm that objects of the root namespace do is noticed", async () => {
  const range = await Range.open();
  const faultsOf = async (object: KubernetesObject): Promise<string> => (await range.faultsOf([object])).join("\n");
  assert.match(
    await faultsOf(config("AuthorizationPolicy", "istio-system/closed", {})),
    /^bank listener virtualInbound has changed[^]*^ambient authorization istio-system\/closed is new/m,
  );
  assert.match(
    await faultsOf(config("Telemetry", "istio-system/all", { accessLogging: [{ providers: [{ name: "envoy" }] }] })),
    /^bank listener 0\.0\.0\.0_80 has changed at [^]*^waypoint listener main_internal has changed/m,
  );
  const value = {
    name: "later",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap" },
  };
  assert.match(
    await faultsOf(
      config("EnvoyFilter", "istio-system/tap", {
        configPatches: [{ applyTo: "HTTP_FILTER", match: {}, patch: { operation: "INSERT_FIRST", value } }],
      }),
    ),
    /^bank refuses listener: /m,
  );
});

/**
 * Half of the attacks export nothing that sidecars follow by design, so that the sidecars' whole configuration can be
 * compared.
 */
function kept(objects: readonly KubernetesObject[], areExported: boolean): readonly KubernetesObject[] {
  return areExported
    ? objects
    : objects.map((object) =>
        object.kind === "VirtualService" || object.kind === "ServiceEntry"
          ? { ...object, spec: { ...(object as { spec?: object }).spec, exportTo: ["."] } }
          : object,
      );
}

test("objects of one namespace change nothing of others, are accepted by others' proxies, and leave nothing behind", async () => {
  const kinds = Object.fromEntries(admission.kinds.map((kind) => [`${kind.group}/${kind.kind}`, kind]));
  const choice = fc.record({ kind: fc.constantFrom(...Object.keys(kinds)), seed: fc.integer() });
  const attack = fc.record({
    choices: fc.array(fc.noShrink(choice), { minLength: 1, maxLength: 12 }),
    areExported: fc.boolean(),
  });
  let range = await Range.open();
  await fc.assert(
    fc.asyncProperty(attack, async ({ choices, areExported }) => {
      const objects = kept(
        choices.flatMap(({ kind: name, seed }) => {
          const kind = kinds[name];
          return kind === undefined ? [] : (attackerObject(admission, kind, seed) ?? []);
        }),
        areExported,
      );
      const faults = await range.faultsOf(objects);
      if (faults.length === 0) return;
      range = await Range.open();
      const few = await smallest(objects, faults[0] ?? "", admission);
      assert.fail(`${faults.join("\n")}\n${few.map((object) => JSON.stringify(object)).join("\n")}`);
    }),
    { numRuns: runs, endOnFailure: true },
  );
});
