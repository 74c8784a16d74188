import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod } from "../api/kubernetes/index.ts";
import { loggedRoute } from "./logged-route.ts";

const pod: Pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop" } };
const node: Node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  status: { addresses: [{ type: "InternalIP", address: "10.240.0.11" }] },
};
const route = "Adding route for web/shop: [table 100 10.244.1.5/32 via 192.168.126.2 dev istioin src";

test("a logged route starts at the node's address among its pods", () => {
  assert.equal(loggedRoute(pod, { ...node, spec: { podCIDR: "10.244.1.0/24" } }, "10.244.1.5"), `${route} 10.244.1.1]`);
});

test("where nodes have no range of pods, it starts at the node's own address", () => {
  assert.equal(loggedRoute(pod, node, "10.244.1.5"), `${route} 10.240.0.11]`);
});
