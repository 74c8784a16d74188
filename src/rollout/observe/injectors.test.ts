import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import { labelPointer, reference } from "../plan/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { heldByInjector, howToLeadAway, isLedTo, ledElsewhere } from "./injectors.ts";

const pilot = fakePod({
  name: "istiod-old",
  namespace: "istio-system",
  labels: { app: "istiod", "istio.io/rev": "old" },
  status: { conditions: [{ type: "Ready", status: "True" }] } as unknown as NonNullable<Pod["status"]>,
});
const injector = {
  metadata: { name: "istio-sidecar-injector-old", labels: { "istio.io/rev": "old" } },
  webhooks: [
    {
      clientConfig: { service: { name: "istiod-old", namespace: "istio-system" } },
      namespaceSelector: { matchExpressions: [{ key: "istio.io/rev", operator: "In", values: ["old"] }] },
    },
  ],
};
const restart: JournalEntry = {
  type: "field",
  step: "s",
  object: reference("apps/v1", "Deployment", "web", "shop"),
  pointer: "/spec/template/metadata/annotations/rollout.serin.dev~1restarted-for",
  written: "new.1",
  restart: "template",
};
const label: JournalEntry = {
  type: "field",
  step: "s",
  object: reference("v1", "Namespace", "shop"),
  pointer: labelPointer("istio.io/rev"),
  prior: "old",
  written: "new",
};

async function held(
  entry: JournalEntry,
  { pods = [pilot], injectors = [injector], containers = ["web"] }: Record<string, readonly unknown[]> = {},
): Promise<string | undefined> {
  const view = Object.assign(fakeView(pods as Pod[]), {
    injectors: { list: () => injectors },
  }) as unknown as ClusterView;
  const namespace = { metadata: { name: "shop", labels: { "istio.io/rev": "old" } } };
  const web = {
    metadata: { name: "web" },
    spec: { template: { spec: { containers: containers.map((name) => ({ name })) } } },
  };
  const objects = { get: async () => await Promise.resolve(namespace) } as unknown as ObjectAccess;
  const current = (entry.object.kind === "Namespace" ? namespace : web) as UntypedObject;
  return await heldByInjector({ objects, view }, entry as Extract<JournalEntry, { type: "field" }>, current);
}

test("undo restarts no pod and moves back no namespace whose injector no longer exists", async () => {
  for (const entry of [restart, label]) {
    assert.equal(await held(entry), undefined);
    assert.equal(
      await held(entry, { injectors: [] }),
      "namespace shop waits for an injector: no MutatingWebhookConfiguration selects namespaces with istio.io/rev=old. Install that revision again, or if it was a tag: serin tag set old --revision REVISION",
    );
    assert.equal(
      await held(entry, { pods: [] }),
      "namespace shop waits for its injector: no control plane of revision old is ready. See kubectl get deployments -A -l app=istiod,istio.io/rev=old",
    );
  }
});

test("an injector outside of the cluster, and a sidecar in the template, need no control plane in this cluster", async () => {
  const outside = { ...injector, webhooks: [{ ...injector.webhooks[0], clientConfig: { url: "https://x/inject" } }] };
  assert.equal(await held(restart, { pods: [], injectors: [outside] }), undefined);
  assert.equal(await held(restart, { injectors: [], containers: ["web", "istio-proxy"] }), undefined);
});

test("a namespace leads away from a revision by a tag that was removed, by another's label, or by none for injection", () => {
  const led = (labels: object | undefined, revision = "old", injectors: readonly object[] = [injector]): unknown =>
    ledElsewhere(
      {
        namespaces: { get: () => ({ metadata: { name: "shop", ...(labels === undefined ? {} : { labels }) } }) },
        injectors: { list: () => injectors },
      } as unknown as ClusterView,
      "shop",
      revision,
    );
  assert.equal(led(undefined), undefined, "its pods may name the revision");
  assert.equal(led({ "istio.io/rev": "old" }), undefined);
  assert.equal(led({ "istio.io/rev": "old" }, "old", []), undefined, "a wave moves it, injector or not");
  assert.equal(
    led({ "istio.io/rev": "stable" }),
    "namespace shop has the label istio.io/rev=stable, which no MutatingWebhookConfiguration selects",
  );
  assert.equal(
    led({ "istio.io/rev": "old" }, "older"),
    "namespace shop has the label istio.io/rev=old, which leads to revision old",
  );
  const tag = {
    metadata: { name: "tag", labels: { "istio.io/rev": "old", "istio.io/tag": "stable" } },
    webhooks: [{ namespaceSelector: { matchLabels: { "istio.io/rev": "stable" } } }],
  };
  assert.equal(led({ "istio.io/rev": "stable" }, "old", [injector, tag]), undefined);
  assert.match(String(led({ "istio-injection": "disabled" })), /istio-injection=disabled, which no Mutating/);
});

test("a namespace leads to a revision by its label, or by a tag of the revision, and each has its way to lead it away", () => {
  const tag = {
    metadata: { name: "tag", labels: { "istio.io/rev": "new", "istio.io/tag": "default" } },
    webhooks: [{ namespaceSelector: { matchLabels: { "istio-injection": "enabled" } } }],
  };
  const matchExpressions = [
    { key: "istio.io/rev", operator: "In", values: ["old"] },
    { key: "istio-injection", operator: "DoesNotExist" },
  ];
  const own = { ...injector, webhooks: [{ namespaceSelector: { matchExpressions } }] };
  const led = (labels: object, revision: string): string | undefined => {
    const view = {
      namespaces: { get: () => ({ metadata: { name: "shop", labels } }) },
      injectors: { list: () => [own, tag] },
    } as unknown as ClusterView;
    const remedy = howToLeadAway(view, "shop", revision);
    assert.equal(isLedTo(view, "shop", revision), remedy !== undefined);
    return remedy;
  };
  assert.equal(led({ "istio-injection": "enabled" }, "new"), "serin tag set default --revision REVISION --overwrite");
  assert.equal(led({ "istio-injection": "enabled" }, "old"), undefined);
  assert.equal(led({ "istio.io/rev": "old" }, "old"), "kubectl label --overwrite namespace shop istio.io/rev=REVISION");
  assert.equal(led({}, "old"), undefined);
  const both = { "istio-injection": "enabled", "istio.io/rev": "old" };
  assert.equal(led(both, "old"), undefined, "istio-injection overrides the revision, and its tag leads to new");
  assert.equal(led(both, "new"), "serin tag set default --revision REVISION --overwrite");
});
