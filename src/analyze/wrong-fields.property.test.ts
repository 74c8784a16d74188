import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sampled, wrongFields } from "../base/testing/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { analyze } from "./analyze.ts";
import { formatMessage } from "./format.ts";
import { manifestOf } from "./manifest/manifest.ts";
import { readManifest, type Resource } from "./index.ts";

/** The objects of all cases. Together they contain each kind that an analyzer reads, in each of its forms. */
const cases = await Promise.all(
  globSync(join(import.meta.dirname, "testing/cases/*.yaml"))
    .toSorted()
    .map(async (file) => (await readManifest("case.yaml", readFileSync(file, "utf8"))).resources),
);

const scopes = ["files", "cluster"] as const;

function messagesOf(resources: readonly Resource[], scope: (typeof scopes)[number]): readonly string[] {
  const messages = analyze(resources, {
    scope,
    nowMs: Date.parse("2027-01-01T00:00:00Z"),
    istioNamespace: "istio-system",
    defaultNamespace: "default",
  });
  return messages.map((message) => formatMessage(message, { colour: false }));
}

test("no field of a wrong type makes an analyzer throw", () => {
  const changes = cases.flatMap((resources) =>
    resources.flatMap(({ object }, index) =>
      [...wrongFields(object)].map((change) => ({ resources, index, change, kind: object.kind ?? "" })),
    ),
  );
  for (const { resources, index, change, kind } of sampled(changes, 6000, 1)) {
    const read = manifestOf("case.yaml", {
      documents: [{ value: change.object, line: 1, positions: new Map() }],
      faults: [],
    }).resources[0];
    if (read === undefined) continue;
    for (const scope of scopes) {
      const changed = resources.with(index, scope === "files" ? read : { object: read.object });
      assert.doesNotThrow(() => messagesOf(changed, scope), `${kind} ${change.title}, in ${scope}`);
    }
  }
});

test("a field of a wrong type is reported with what was expected, and counts as absent", () => {
  const service = (spec: unknown): UntypedObject => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec,
  });
  const source = { file: "web.yaml", positionOf: () => undefined };
  const errors = (object: UntypedObject): readonly string[] =>
    messagesOf([{ object, source }], "files").filter((message) => message.startsWith("Error [IST0106]"));
  assert.deepEqual(errors(service({ ports: 3 })), [
    "Error [IST0106] (Service default/web web.yaml) spec.ports must be a list, got 3",
  ]);
  assert.deepEqual(errors(service({ ports: [{ name: "http", port: "80" }, 4] })), [
    'Error [IST0106] (Service default/web web.yaml) spec.ports[0].port must be a number, got "80"',
    "Error [IST0106] (Service default/web web.yaml) spec.ports[1] must be an object, got 4",
  ]);
  const definition: UntypedObject = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "rbacconfigs.rbac.istio.io" },
    spec: { group: "rbac.istio.io" },
  };
  assert.deepEqual(messagesOf([{ object: definition, source }], "files"), [
    "Warning [IST0002] (CustomResourceDefinition rbacconfigs.rbac.istio.io web.yaml) rbacconfigs.rbac.istio.io of rbac.istio.io was removed in Istio 1.6, and nothing reads it. Use AuthorizationPolicy objects, then delete this definition",
  ]);
});
