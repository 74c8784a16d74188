import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { parseSelection, selectsContainer, selectsPod } from "./pod-selection.ts";

const pod = {
  metadata: {
    name: "web-6d4b75cb6d-x2x9k",
    namespace: "shop",
    labels: { app: "web", "pod-template-hash": "6d4b75cb6d" },
    annotations: { team: "blue" },
    ownerReferences: [
      { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-6d4b75cb6d", uid: "1", controller: true },
    ],
  },
} as Pod;

function matches(text: string): boolean {
  return selectsPod(parseSelection(text), pod);
}

test("a selection matches namespaces, workloads, pods, labels and annotations, each if it is given", () => {
  for (const text of [
    "shop",
    "other,shop",
    "s*p",
    "*",
    "",
    "shop/web",
    "shop//web-*",
    "shop//*-x2x9k",
    "*/w*b//app=w*",
    "shop////team=blue",
    "shop/web/web-*/app=web/team=blue/istio-proxy",
  ])
    assert.ok(matches(text), text);
  for (const text of ["other", "shop/we", "shop//web", "shop//web-*-y", "shop///app=api", "shop////owner=*", "sh*hop"])
    assert.ok(!matches(text), text);
});

test("the last part of a selection matches containers", () => {
  const selection = parseSelection("shop/////istio-*");
  assert.ok(selectsContainer(selection, "istio-proxy"));
  assert.ok(!selectsContainer(selection, "web"));
  assert.ok(selectsContainer(parseSelection("shop"), "web"));
});

test("a selection that would select something else than was meant is refused", () => {
  const refusal = (text: string): string => {
    try {
      parseSelection(text);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  assert.equal(refusal("shop///app"), '"app" must be key=value, without * in the key');
  assert.match(refusal("shop///a*=web"), /must be key=value/);
  assert.match(refusal("shop///app.kubernetes.io/name=web/x/y"), /expected at most six parts, got 7/);
});
