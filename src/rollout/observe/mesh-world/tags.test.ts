import assert from "node:assert/strict";
import { test } from "node:test";
import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import { labelPointer, reference } from "../../plan/index.ts";
import { fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { injectionOf, observeNamespaces } from "./namespaces.ts";
import { PriorValues } from "./prior-values.ts";
import { injectsWithoutTag, tagsBefore } from "./tags.ts";

const injector = (revision: string, namespaceSelector: object, tag?: string): WebhookConfiguration =>
  ({
    metadata: {
      name: "i",
      labels: { "istio.io/rev": revision, ...(tag === undefined ? {} : { "istio.io/tag": tag }) },
    },
    webhooks: [{ name: "rev.namespace.sidecar-injector.istio.io", namespaceSelector }],
  }) as unknown as WebhookConfiguration;
const enabled = { matchLabels: { "istio-injection": "enabled" } };
const byRevision = { matchLabels: { "istio.io/rev": "sample" } };

test("a named control plane that injects istio-injection itself leads its namespaces without a tag", () => {
  const without = (
    configuration: WebhookConfiguration,
    revision = "sample",
    tags = new Map<string, string>(),
  ): boolean => injectsWithoutTag({ injectors: [configuration], validators: [] }, tags, revision);
  assert.equal(without(injector("sample", enabled)), true);
  assert.equal(without(injector("sample", byRevision)), false);
  assert.equal(without(injector("other", enabled)), false);
  assert.equal(without(injector("sample", enabled, "default")), false);
  assert.equal(without(injector("sample", enabled), "sample", new Map([["default", "other"]])), false);
  assert.equal(without(injector("default", enabled), "default"), false, "its namespaces follow the default tag later");
});

test("a namespace with istio-injection moves from the revision that injects it without a tag", () => {
  const labels = { "istio-injection": "enabled" };
  const sources = { tags: new Map<string, string>(), injectsWithoutTag: true };
  assert.deepEqual(injectionOf(labels, sources, "sample"), { label: "istio-injection", value: "enabled" });
  assert.equal(injectionOf(labels, { ...sources, injectsWithoutTag: false }, "sample"), undefined);
  const ambient = { "istio.io/dataplane-mode": "ambient" };
  assert.deepEqual(injectionOf({ ...labels, ...ambient }, sources, "sample")?.label, "istio-injection");
  assert.equal(injectionOf({ "istio.io/rev": "sample", ...ambient }, sources, "sample"), undefined);
});

test("a moved namespace is led by what led it before, although the old revision's injector is gone", async () => {
  const object = reference("v1", "Namespace", "shop");
  const entry = (key: string, prior?: string): JournalEntry => ({
    type: "field",
    step: "move",
    object,
    pointer: labelPointer(key),
    ...(prior === undefined ? {} : { prior }),
  });
  const namespaces = [{ metadata: { name: "shop", labels: { "istio.io/rev": "new" } } }];
  const none = { list: () => [] };
  const view = Object.assign(fakeView([]), {
    namespaces: { list: () => namespaces },
    deployments: none,
    statefulSets: none,
    daemonSets: none,
  }) as unknown as ClusterView;
  const scope = { namespaces: true, gateways: true, waypoints: true, tags: true, defaultRevision: true };
  const upgrade = {
    metadata: { name: "to-new" },
    spec: { from: { revision: "sample" }, to: { revision: "new", install: [] }, scope },
  } as unknown as MeshUpgrade;
  const tagsIn = async (journal: readonly JournalEntry[]): Promise<unknown> => {
    const leads = { tags: new Map<string, string>(), injectsWithoutTag: false };
    const prior = new PriorValues(journal);
    return (await observeNamespaces({ view, upgrade, prior, leads })).map(({ name, injection }) => [name, injection]);
  };
  const moved = [entry("istio.io/rev"), entry("istio-injection", "enabled")];
  assert.deepEqual(await tagsIn(moved), [["shop", { label: "istio-injection", value: "enabled" }]]);
  assert.deepEqual(await tagsIn([]), []);
});

test("a tag that somebody moves by hand in the middle still belongs to the namespaces that followed it", () => {
  const upgrade = {
    spec: { from: { revision: "old" }, to: { revision: "new" } },
  } as unknown as MeshUpgrade;
  const moved = (key: string, prior: string): JournalEntry => ({
    type: "field",
    step: "wave",
    object: reference("v1", "Namespace", "shop"),
    pointer: labelPointer(key),
    prior,
    written: "new",
  });
  const before = (tag: string, revision: string, journal: readonly JournalEntry[]): string | undefined =>
    tagsBefore({ injectors: [injector(revision, {}, tag)], validators: [] }, new PriorValues(journal), upgrade).get(
      tag,
    );
  assert.equal(before("prod", "new", [moved("istio.io/rev", "prod")]), "old");
  assert.equal(before("default", "new", [moved("istio-injection", "enabled")]), "old");
  assert.equal(before("prod", "other", [moved("istio.io/rev", "prod")]), "other", "it leads to a third revision");
  assert.equal(before("canary", "new", [moved("istio.io/rev", "prod")]), "new", "it led there before the upgrade");
  assert.equal(before("prod", "old", []), "old");
});
