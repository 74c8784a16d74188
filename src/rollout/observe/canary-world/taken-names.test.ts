import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import { fieldManager } from "../../../api/serin/field-managers/index.ts";
import type { Canary, JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { Step } from "../../decide/index.ts";
import { refuseTakenNames } from "./taken-names.ts";

const service = (name: string): ObjectReference => ({
  apiVersion: "v1",
  kind: "Service",
  plural: "services",
  name,
  namespace: "shop",
});
const canary = {
  metadata: { name: "web", namespace: "shop" },
  spec: { target: { deployment: { name: "web", service: "web", previewService: "web-preview" } } },
} as unknown as Canary;
const steps: readonly Step[] = [
  {
    id: "subsets",
    title: "",
    settle: [],
    checks: [],
    writes: [
      { type: "field", object: service("web"), pointer: "/spec/selector", value: {} },
      ...["web-stable", "web-canary", "web-preview"].map((name) => ({
        type: "create" as const,
        object: service(name),
        body: { metadata: { name } },
      })),
    ],
  },
];

test("a Canary that would make an object whose name somebody else's has is refused, and its preview Service may exist", async () => {
  const refusalWith = async (
    managers: Readonly<Record<string, string>>,
    labels: Readonly<Record<string, string>> = {},
    journal: readonly JournalEntry[] = [],
  ): Promise<string | undefined> => {
    const objects: Pick<ObjectAccess, "get"> = {
      get: async ({ name }): Promise<UntypedObject | undefined> => {
        const manager = managers[name];
        const managedFields = [{ manager: manager ?? "", operation: "Update" as const }];
        return await Promise.resolve(manager === undefined ? undefined : { metadata: { name, labels, managedFields } });
      },
    };
    return await refuseTakenNames({ objects: objects as ObjectAccess }, canary, steps, journal).then(
      () => undefined,
      (error: unknown) => (error as Error).message,
    );
  };
  assert.equal(
    await refusalWith({ "web-canary": "helm" }),
    "spec.target.deployment: Service shop/web-canary exists already, and this Canary makes an object of that name; rename it, or delete it if nothing needs it",
  );
  assert.equal(await refusalWith({ "web-canary": fieldManager, web: "helm", "web-preview": "helm" }), undefined);
  const made = { "app.kubernetes.io/managed-by": fieldManager };
  assert.equal(await refusalWith({ "web-canary": "velero" }, made), undefined, "it was restored from a backup");
  const created: JournalEntry = { type: "created", step: "subsets", object: service("web-canary"), setup: true };
  assert.equal(await refusalWith({ "web-canary": "velero" }, {}, [created]), undefined, "the Canary has made it");
  assert.match((await refusalWith({ "web-stable": "helm" }, {}, [created])) ?? "", /Service shop\/web-stable exists/);
});

test("a run uses a copy that an earlier run has left only if the copy has the same pod template", async () => {
  const object: ObjectReference = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    plural: "deployments",
    name: "web-canary",
    namespace: "shop",
  };
  const bodyOf = (image: string): UntypedObject => ({
    metadata: { name: "web-canary" },
    spec: { replicas: 1, template: { spec: { containers: [{ name: "web", image }] } } },
  });
  const copying: Step = {
    id: "copy",
    title: "",
    settle: [],
    checks: [],
    writes: [{ type: "create", object, body: bodyOf("web:3") }],
  };
  const refusalOf = async (found: UntypedObject): Promise<string | undefined> =>
    await refuseTakenNames({ objects: { get: async () => found } as unknown as ObjectAccess }, canary, [copying]).then(
      () => undefined,
      (error: unknown) => (error as Error).message,
    );
  assert.match(
    (await refusalOf(bodyOf("web:2"))) ?? "",
    /^spec\.target\.deployment: Deployment shop\/web-canary, .* left, runs another pod template .*let no route send requests to it, and delete it; .*kubectl delete deployment web-canary -n shop$/,
  );
  const same = bodyOf("web:3");
  const container = { name: "web", image: "web:3", imagePullPolicy: "Always" };
  assert.equal(await refusalOf(same), undefined);
  assert.equal(await refusalOf({ ...same, spec: { template: { spec: { containers: [container] } } } }), undefined);
  const ending = { ...bodyOf("web:2"), metadata: { name: "web-canary", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assert.equal(await refusalOf(ending), undefined);
});
