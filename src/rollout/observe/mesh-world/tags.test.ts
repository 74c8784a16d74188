import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service, WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import * as install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { labelPointer, reference, type MeshWorld, type TagInWorld, type WebhookClient } from "../../plan/index.ts";
import { fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { injectionOf, observeNamespaces } from "./namespaces.ts";
import { PriorValues } from "./prior-values.ts";
import { injectsWithoutTag, observeTags, tagsBefore } from "./tags.ts";

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

const calling = (name: string, revision: string, clientConfig: WebhookClient, tag?: string): WebhookConfiguration => ({
  metadata: {
    name,
    labels: { "istio.io/rev": revision, ...(tag === undefined ? {} : { "istio.io/tag": tag }) },
  },
  webhooks: [{ name: "rev.namespace.sidecar-injector.istio.io", clientConfig }],
});

const service = (name: string, namespace: string, path = "/inject"): WebhookClient => ({
  service: { name, namespace, path, port: 443 },
});

interface Cluster {
  readonly injectors: readonly WebhookConfiguration[];
  readonly validators?: readonly WebhookConfiguration[];
  readonly services?: readonly Service[];
  readonly installs?: MeshWorld["installs"];
  readonly from?: string;
}

async function observed({ injectors, validators = [], services = [], installs = [], from = "old" }: Cluster) {
  const upgrade = { spec: { from: { revision: from }, to: { revision: "new" } } } as unknown as MeshUpgrade;
  const client = { list: async () => await Promise.resolve({ items: services }) } as unknown as KubeClient;
  const webhooks = { injectors, validators };
  const prior = new PriorValues([]);
  return await observeTags({ client, install, upgrade, prior, webhooks, installs, version: "1" });
}

/** The fields of a tag as `name pointer`, each with its value. */
function fieldsOf({ fields }: TagInWorld): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    fields.map(({ object, pointer, value }) => [`${object.namespace ?? ""} ${object.name} ${pointer}`.trim(), value]),
  );
}

const tagService = (namespace: string): Service => ({
  metadata: {
    name: "istiod-revision-tag-default",
    namespace,
    labels: { "istio.io/rev": "old", "istio.io/tag": "default" },
  },
});
const defaultTag = calling("istio-revision-tag-default", "old", service("istiod-old", "istio-system"), "default");
const defaultValidator = calling("istiod-default-validator", "old", service("istiod-old", "istio-system", "/validate"));
const next = calling("istio-sidecar-injector-new-istio-next", "new", service("istiod-new", "istio-next"));

test("a tag and the validator call the new control plane in its own namespace, and keep their paths", async () => {
  const [tag, ...others] = await observed({ injectors: [defaultTag, next], validators: [defaultValidator] });
  assert.ok(tag !== undefined);
  assert.deepEqual(others, []);
  assert.deepEqual(tag.objects, []);
  assert.deepEqual(fieldsOf(tag), {
    "istio-revision-tag-default /webhooks/0/clientConfig/service": service("istiod-new", "istio-next").service,
    "istio-revision-tag-default /metadata/labels/istio.io~1rev": "new",
    "istiod-default-validator /webhooks/0/clientConfig/service": service("istiod-new", "istio-next", "/validate")
      .service,
    "istiod-default-validator /metadata/labels/istio.io~1rev": "new",
  });
});

test("before the new control plane runs, a tag moves to where the upgrade installs it", async () => {
  const installed = { ...next, kind: "MutatingWebhookConfiguration" };
  const [tag] = await observed({ injectors: [defaultTag], installs: [[installed]] });
  assert.ok(tag !== undefined);
  assert.deepEqual(
    fieldsOf(tag)["istio-revision-tag-default /webhooks/0/clientConfig/service"],
    service("istiod-new", "istio-next").service,
  );
});

test("a tag's Service is made beside the new control plane, and the one in the other namespace leaves with the old revision", async () => {
  const moved = await observed({ injectors: [defaultTag, next], services: [tagService("istio-system")] });
  const of = ({ objects, left = [] }: TagInWorld): unknown => [
    objects.map(({ kind, metadata, spec }) => [
      kind,
      metadata.namespace,
      metadata.name,
      (spec as { readonly selector?: object }).selector,
    ]),
    left.map(({ namespace, name }) => [namespace, name]),
  ];
  const name = "istiod-revision-tag-default";
  assert.deepEqual(moved.map(of), [
    [[["Service", "istio-next", name, { app: "istiod", "istio.io/rev": "new" }]], [["istio-system", name]]],
  ]);
  const there = { injectors: [defaultTag, calling("i", "new", service("istiod-new", "istio-system"))] };
  const [inPlace] = await observed({ ...there, services: [tagService("istio-system")] });
  assert.ok(inPlace !== undefined);
  assert.deepEqual(of(inPlace), [[], []]);
  assert.equal(fieldsOf(inPlace)[`istio-system ${name} /spec/selector/istio.io~1rev`], "new");
});

test("a tag moves to a control plane outside of the cluster with its URL and CA, and its validator to the same server", async () => {
  const outside = { url: "https://pilot.example.com:15017/inject/cluster/east", caBundle: "Y2E=" };
  const injectors = [defaultTag, calling("outside", "new", outside)];
  const [tag] = await observed({ injectors, validators: [defaultValidator] });
  assert.ok(tag !== undefined);
  const fields = fieldsOf(tag);
  assert.deepEqual(fields["istio-revision-tag-default /webhooks/0/clientConfig"], outside);
  const validator = { url: "https://pilot.example.com:15017/validate", caBundle: "Y2E=" };
  assert.deepEqual(fields["istiod-default-validator /webhooks/0/clientConfig"], validator);
  const own = calling("istio-validator-new", "new", { url: "https://checks.example.com/validate" });
  const [byOwn] = await observed({ injectors, validators: [defaultValidator, own] });
  assert.deepEqual(
    byOwn === undefined ? undefined : fieldsOf(byOwn)["istiod-default-validator /webhooks/0/clientConfig"],
    {
      url: "https://checks.example.com/validate",
    },
  );
  // Somebody has renewed the CA after the tag moved.
  const renewed = { ...outside, caBundle: "bmV3" };
  const [again] = await observed({ injectors: [calling("t", "old", renewed, "default"), injectors[1] ?? next] });
  assert.deepEqual(again === undefined ? undefined : fieldsOf(again)["t /webhooks/0/clientConfig"], renewed);
});

test("a tag that somebody set for the unnamed control plane moves too, and no second one is made", async () => {
  const injectors = [
    calling("istio-sidecar-injector", "default", service("istiod", "istio-system")),
    calling("istio-revision-tag-default", "default", service("istiod", "istio-system"), "default"),
    next,
  ];
  const [tag, ...others] = await observed({ injectors, from: "default" });
  assert.ok(tag !== undefined);
  assert.deepEqual(others, []);
  const fields = fieldsOf(tag);
  assert.deepEqual(
    fields["istio-revision-tag-default /webhooks/0/clientConfig/service"],
    service("istiod-new", "istio-next").service,
  );
  assert.equal(fields["istio-revision-tag-default /metadata/labels/istio.io~1rev"], "new");
  assert.deepEqual(
    tag.objects.map(({ kind }) => kind),
    ["Service", "ValidatingWebhookConfiguration"],
  );
});
