import assert from "node:assert/strict";
import { test } from "node:test";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { l4VirtualService } from "./route-layer4.ts";

const service = { hostname: "db.shop.svc.cluster.local" } as ServiceModel;

/** The hosts among which connections are divided, with their weights. */
function dividedBy(kind: L4RouteModel["kind"], weights: readonly number[]): unknown {
  const backends = weights.map((weight, index) => ({
    resolved: { host: `b${index}.test`, port: 9, cluster: "" },
    weight,
  }));
  const model = {
    kind,
    route: { namespace: "shop", name: "r", createdAt: "", spec: {} },
    mesh: { backends },
  } as unknown as L4RouteModel;
  const { tcp, tls } = l4VirtualService(model, service, 5432);
  return [...tcp, ...tls].flatMap(({ route }) =>
    route.map(({ destination, weight }) => [destination.host, destination.port?.number, weight]),
  );
}

test("backends without a weight get no connection; if no backend has one, connections are closed and the listener is still valid", () => {
  for (const kind of ["TCPRoute", "TLSRoute"] as const) {
    assert.deepEqual(dividedBy(kind, [1, 0, 3]), [
      ["b0.test", 9, 1],
      ["b2.test", 9, 3],
    ]);
    assert.deepEqual(dividedBy(kind, [0, 0]), [["UnknownService", 5432, 1]]);
    assert.deepEqual(dividedBy(kind, [0]), [["UnknownService", 5432, 1]]);
    assert.deepEqual(dividedBy(kind, []), []);
  }
});
