import assert from "node:assert/strict";
import { test } from "node:test";
import type { LadderProxy, PodRow } from "../../../api/dashboard/index.ts";
import { proxiesOfWorkload } from "./proxies-of-workload.ts";

const pod = (name: string, ztunnel = ""): PodRow => ({ name, ztunnel }) as PodRow;
const given = { namespace: "shop", dataPlane: "sidecar", pods: [pod("a"), pod("b")], proxies: [] } as const;

test("connected proxies come before the pods that should have one", () => {
  const proxies = [{ pod: "waypoint-1", namespace: "infra" } as LadderProxy];
  assert.deepEqual(proxiesOfWorkload({ ...given, proxies }), [{ pod: "waypoint-1", namespace: "infra" }]);
});

test("a sidecar that is not connected is still offered, by its pod", () => {
  assert.deepEqual(
    proxiesOfWorkload(given).map(({ pod }) => pod),
    ["a", "b"],
  );
});

test("pods of ambient lead to the ztunnels of their nodes, each once", () => {
  const pods = [
    pod("a", "istio-system/ztunnel-x7k2p"),
    pod("b", "istio-system/ztunnel-x7k2p, not ready"),
    pod("c", "no ztunnel runs on node-2"),
  ];
  assert.deepEqual(proxiesOfWorkload({ ...given, dataPlane: "ambient", pods }), [
    { pod: "ztunnel-x7k2p", namespace: "istio-system" },
  ]);
});

test("a workload outside the mesh has no proxy", () => {
  assert.deepEqual(proxiesOfWorkload({ ...given, dataPlane: "none" }), []);
});
