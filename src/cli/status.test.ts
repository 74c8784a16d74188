import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectedProxy } from "../api/serin/index.ts";
import { createProgram } from "./program.ts";
import { FakeContext, type FakeCluster } from "./testing/fake-context.ts";

const prefix = "type.googleapis.com";
const proxy = (id: string, version: string, types: ConnectedProxy["types"]): ConnectedProxy => ({
  id,
  type: "router",
  namespace: "bookinfo",
  node: "kind-worker",
  version,
  revision: "default",
  connectedAt: "2026-06-01T00:00:00Z",
  types,
});
const acknowledged = { sent: "4", acked: "4", nacked: "", reason: null };

const pilotPath = (pod: string, port: number, path: string): string => `/api/v1/namespaces/istio-system/pods/${pod}:${port}/proxy${path}`;
const pilot = (name: string, revision: string) => ({ metadata: { name, namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": revision } }, status: { phase: "Running" } });
const cluster: FakeCluster = {
  objects: { Pod: [pilot("istiod-1", "default"), pilot("istiod-canary-1", "canary")] },
  answers: {
    [pilotPath("istiod-1", 15_014, "/version")]: "1.18.0\n",
    [pilotPath("istiod-canary-1", 15_014, "/version")]: "1.18.1\n",
    [pilotPath("istiod-1", 8080, "/debug/serin/proxies")]: JSON.stringify([
      proxy("ztunnel-b.istio-system", "1.18.0", { [`${prefix}/istio.workload.Address`]: acknowledged, [`${prefix}/istio.security.Authorization`]: acknowledged }),
      proxy("gateway-1.bookinfo", "1.18.0", {
        [`${prefix}/envoy.config.cluster.v3.Cluster`]: acknowledged,
        [`${prefix}/envoy.config.listener.v3.Listener`]: { ...acknowledged, sent: "5" },
        [`${prefix}/envoy.config.route.v3.RouteConfiguration`]: { sent: "5", acked: "4", nacked: "5", reason: "no such cluster" },
      }),
    ]),
    [pilotPath("istiod-canary-1", 8080, "/debug/serin/proxies")]: JSON.stringify([proxy("gateway-2.bookinfo", "1.18.1", {})]),
  },
};

async function run(line: string, of: FakeCluster | undefined = cluster): Promise<{ output: string; errors: string }> {
  const context = new FakeContext(of);
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

test("proxy-status names each proxy's istiod, marks what is on its way and what was rejected", async () => {
  assert.equal(
    (await run("proxy-status")).output,
    `NAME                     CLUSTER      ISTIOD            VERSION   SUBSCRIBED TYPES
gateway-1.bookinfo       Kubernetes   istiod-1          1.18.0    3 (CDS,LDS*,RDS!)
gateway-2.bookinfo       Kubernetes   istiod-canary-1   1.18.1    0 ()
ztunnel-b.istio-system   Kubernetes   istiod-1          1.18.0    2 (WADS,WDS)
`,
  );
});

test("proxy-status without an istiod says what to do", async () => {
  assert.equal((await run("ps", {})).errors, "No istiod runs in this cluster; install one by: serin install --set profile=ambient\n");
});

test("version counts data planes by version, and does without a cluster", async () => {
  assert.equal(
    (await run("version")).output,
    `client version: 1.18.1
control plane version: 1.18.0 (revision default)
control plane version: 1.18.1 (revision canary)
data plane version: 1.18.0 (2 proxies), 1.18.1 (1 proxy)
`,
  );
  const alone = new FakeContext();
  await createProgram(alone).parseAsync(["version"], { from: "user" });
  assert.equal(alone.output, "client version: 1.18.1\n");
});
