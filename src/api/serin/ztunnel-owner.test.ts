import assert from "node:assert/strict";
import { test } from "node:test";
import { ztunnelOwner, type ZtunnelOwnerQuery } from "./ztunnel-owner.ts";

function owner(query: Partial<ZtunnelOwnerQuery>): string | undefined {
  return ztunnelOwner({
    podLabels: undefined,
    namespaceLabels: undefined,
    nodeLabels: undefined,
    running: [],
    ...query,
  });
}

const rev = (value: string): Record<string, string> => ({ "serin.dev/ztunnel-rev": value });

test("a pod's label wins over its namespace's, which wins over the node's", () => {
  const nodeLabels = { "istio.io/rev": "c" };
  const running = ["a", "b", "c", "default"];
  assert.equal(owner({ podLabels: rev("a"), namespaceLabels: rev("b"), nodeLabels, running }), "a");
  assert.equal(owner({ podLabels: rev(""), namespaceLabels: rev("b"), nodeLabels, running }), "b");
  assert.equal(owner({ nodeLabels, running }), "c");
});

test("a label applies even if its ztunnel does not run, and a node's does not", () => {
  assert.equal(owner({ podLabels: rev("new"), running: ["default"] }), "new");
  assert.equal(owner({ nodeLabels: { "istio.io/rev": "new" }, running: ["old", "default"] }), "default");
});

test("without labels the default ztunnel is the owner, else the only one, else none", () => {
  assert.equal(owner({ running: ["x", "default"] }), "default");
  assert.equal(owner({ running: ["x"] }), "x");
  assert.equal(owner({ running: ["x", "y"] }), undefined);
  assert.equal(owner({}), undefined);
});
