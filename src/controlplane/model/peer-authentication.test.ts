import assert from "node:assert/strict";
import { test } from "node:test";
import { meshKey } from "./facts.ts";
import { mutualTlsModeOf, workloadMutualTls } from "./peer-authentication.ts";
import { deriveServiceEndpoints, getEndpoints } from "./service/service-endpoints.ts";
import { deriveServiceRegistry } from "./service/service-model.ts";
import { config, createModelFixture, pod, service, slice, testMesh } from "../testing/model-fixture.ts";

const peers = (key: string, spec: object, createdAt = "2026-01-01T00:00:00Z"): ReturnType<typeof config> =>
  config("PeerAuthentication", key, spec, { creationTimestamp: createdAt });

test("mutual TLS mode is inherited from mesh, namespace, workload and port, and the older of two policies wins", () => {
  const { apply, inputs } = createModelFixture();
  const mode = (port: number, labels: Record<string, string> = { app: "web" }): string =>
    mutualTlsModeOf(
      workloadMutualTls({ namespace: "shop", labels }, "istio-system", [...inputs.peerAuthentications.values()]),
      port,
    );
  assert.equal(mode(80), "PERMISSIVE");
  apply(peers("istio-system/mesh", { mtls: { mode: "STRICT" } }));
  assert.equal(mode(80), "STRICT");
  apply(peers("shop/namespace", { mtls: { mode: "PERMISSIVE" } }));
  assert.equal(mode(80), "PERMISSIVE");
  const selector = { matchLabels: { app: "web" } };
  apply(
    peers("shop/web", {
      selector,
      mtls: { mode: "STRICT" },
      portLevelMtls: { 80: { mode: "DISABLE" }, 81: { mode: "UNSET" } },
    }),
  );
  apply(peers("shop/younger", { selector, mtls: { mode: "DISABLE" } }, "2026-02-01T00:00:00Z"));
  assert.deepEqual(
    [mode(80), mode(81), mode(82), mode(80, { app: "db" })],
    ["DISABLE", "STRICT", "STRICT", "PERMISSIVE"],
  );
  apply(peers("shop/web", { selector, portLevelMtls: { 80: { mode: "STRICT" } } }));
  assert.deepEqual([mode(80), mode(82)], ["STRICT", "PERMISSIVE"]);
});

test("clients speak plaintext to a port that accepts no mutual TLS", () => {
  const { apply, graph, inputs } = createModelFixture();
  const endpoints = deriveServiceEndpoints(graph, inputs, deriveServiceRegistry(graph, inputs));
  const found = graph.derive("found", inputs.mesh, (_, reader) => [
    [
      meshKey,
      getEndpoints(
        endpoints,
        { registry: "Kubernetes", namespace: "shop", hostname: "web.shop.svc.cluster.local" },
        80,
        reader,
      ).map(({ mutualTls }) => mutualTls),
    ],
  ]);
  inputs.mesh.set(meshKey, testMesh);
  const labels = { app: "web", "security.istio.io/tlsMode": "istio" };
  apply(
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    pod("shop/web-1", "10.244.1.5", { labels }),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
  );
  assert.deepEqual(found.get(meshKey), [true]);
  apply(peers("shop/web", { selector: { matchLabels: { app: "web" } }, portLevelMtls: { 8080: { mode: "DISABLE" } } }));
  assert.deepEqual(found.get(meshKey), [false]);
});
