import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { lostValues, type LostMove, type LostValues } from "./lost-values.ts";

const engine = (fieldsV1: Record<string, unknown>) => ({
  manager: "serin-rollout",
  operation: "Update" as const,
  fieldsV1,
});
const kubectl = (fieldsV1: Record<string, unknown> = {}) => ({
  manager: "kubectl",
  operation: "Update" as const,
  fieldsV1,
});

/** The annotation with the object that kubectl applied last. */
const applied = (body: object) => ({ "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(body) });

const rules = (...weights: readonly number[]) => [{ backendRefs: weights.map((weight) => ({ name: "web", weight })) }];

const route = (annotations: Readonly<Record<string, string>> = {}): UntypedObject => ({
  metadata: {
    name: "web",
    namespace: "shop",
    uid: "r",
    annotations,
    managedFields: [kubectl(), engine({ "f:spec": { "f:rules": {} } })],
  },
  spec: { rules: rules(50, 50) },
});
const grant: UntypedObject = {
  metadata: { name: "web", namespace: "next", managedFields: [engine({ "f:spec": { ".": {}, "f:from": {} } })] },
};

/** What these objects of a lost journal show. */
async function shownBy(objects: Readonly<Record<string, UntypedObject>>, move: LostMove = {}): Promise<LostValues> {
  const get = async ({ kind, namespace, name }: ObjectReference): Promise<UntypedObject | undefined> => {
    if (name === "broken") throw new Error("conversion webhook failed");
    return await Promise.resolve(objects[`${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`]);
  };
  return await lostValues({ get }, { objects: Object.keys(objects) }, move);
}

const priorsOf = ({ entries }: LostValues): unknown[] =>
  entries.map((entry) => (entry.type === "field" ? [entry.pointer, entry.prior] : [entry.type, entry.object.name]));

test("the weights of a route come back from what kubectl has applied last, and then what the rollout has made leaves", async () => {
  const spec = { rules: rules(100) };
  const shown = await shownBy({ "ReferenceGrant next/web": grant, "HTTPRoute shop/web": route(applied({ spec })) });
  assert.deepEqual(priorsOf(shown), [
    ["created", "web"],
    ["/spec/rules", rules(100)],
  ]);
  assert.deepEqual(shown.back, ["ReferenceGrant next/web (made by the rollout)", "HTTPRoute shop/web /spec/rules"]);
  assert.deepEqual(shown.left, []);
  const [, entry] = shown.entries as readonly [JournalEntry, Extract<JournalEntry, { type: "field" }>];
  assert.deepEqual([entry.written, entry.uid, entry.step], [rules(50, 50), "r", "derived"]);
});

test("what nothing shows is left to a person with a command, and keeps what the rollout has made for it", async () => {
  const shown = await shownBy({ "ReferenceGrant next/web": grant, "HTTPRoute shop/web": route() });
  assert.deepEqual(shown.entries, []);
  assert.deepEqual(shown.left, [
    "HTTPRoute shop/web /spec/rules (kubectl edit httproutes.gateway.networking.k8s.io web -n shop)",
    "ReferenceGrant next/web (made by the rollout; when nothing needs it: kubectl delete referencegrants.gateway.networking.k8s.io web -n next)",
  ]);
});

test("an upgrade's labels and marks come back from its revisions, the label of an injected namespace from its file", async () => {
  const label = { "f:metadata": { "f:labels": { "f:istio.io/rev": {} } } };
  const namespace = (annotations: Readonly<Record<string, string>>, rev = "new"): UntypedObject => ({
    metadata: { name: "shop", labels: { "istio.io/rev": rev }, annotations, managedFields: [kubectl(), engine(label)] },
  });
  const mark = { "f:metadata": { "f:annotations": { ".": {}, "f:rollout.serin.dev/restarted-for": {} } } };
  const deployment: UntypedObject = {
    metadata: {
      name: "web",
      namespace: "shop",
      managedFields: [kubectl(), engine({ "f:spec": { "f:template": mark } })],
    },
    spec: { template: { metadata: { annotations: { "rollout.serin.dev/restarted-for": "new.1" } } } },
  };
  const move = { from: "old", to: "new" };
  const shown = await shownBy({ "Namespace shop": namespace({}), "Deployment shop/web": deployment }, move);
  assert.deepEqual(priorsOf(shown), [
    ["/metadata/labels/istio.io~1rev", "old"],
    ["/spec/template/metadata/annotations/rollout.serin.dev~1restarted-for", undefined],
  ]);
  const groups = shown.entries.map((entry) => [entry.undoGroup, entry.type === "field" ? entry.restart : ""]);
  assert.deepEqual(groups, [
    ["derived of shop", undefined],
    ["derived of shop", "template"],
  ]);
  const labels = { "istio-injection": "enabled" };
  const injected = await shownBy({ "Namespace shop": namespace(applied({ metadata: { labels } })) }, move);
  assert.deepEqual(priorsOf(injected), [
    ["/metadata/labels/istio.io~1rev", undefined],
    ["/metadata/labels/istio-injection", "enabled"],
  ]);
  const theirs = await shownBy({ "Namespace shop": namespace({}, "other") }, move);
  assert.deepEqual([theirs.entries, theirs.left.length], [[], 1], "somebody has moved it since");
});

test("objects that are gone, unknown or unreadable are named, and do not hide the others", async () => {
  const objects = { "HTTPRoute shop/gone": undefined, "Widget shop/a": route(), "HTTPRoute shop/broken": route() };
  const shown = await shownBy(objects as unknown as Readonly<Record<string, UntypedObject>>);
  assert.deepEqual(shown.left, [
    "HTTPRoute shop/gone (it does not exist; the rollout may have deleted it)",
    "Widget shop/a",
    "HTTPRoute shop/broken (it cannot be read: conversion webhook failed)",
  ]);
});

test("everything that an upgrade installs is known by its kind, also the kinds that nothing else reads", async () => {
  const kinds = [
    ["ClusterRoleBinding istiod-new", "clusterrolebindings.rbac.authorization.k8s.io"],
    ["Secret istio-system/cacerts-next", "secrets"],
    ["IstioOperator istio-system/mesh", "istiooperators.install.istio.io"],
    ["EnvoyFilter istio-system/stats", "envoyfilters.networking.istio.io"],
    ["Gateway shop/front", "gateways.gateway.networking.k8s.io"],
  ] as const;
  const made = (name: string): UntypedObject => ({ metadata: { name, managedFields: [engine({})] } });
  const shown = await shownBy(Object.fromEntries(kinds.map(([name]) => [name, made(name)])));
  assert.deepEqual(shown.left, []);
  const plurals = shown.entries.map(({ object: { apiVersion, plural } }) =>
    [plural, ...apiVersion.split("/").slice(0, -1)].join("."),
  );
  assert.deepEqual(
    plurals,
    kinds.map(([, plural]) => plural),
  );
});
