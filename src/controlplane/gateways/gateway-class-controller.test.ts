import assert from "node:assert/strict";
import { after, test } from "node:test";
import { gatewayClassKind, type GatewayClass } from "../../api/gateway/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { runGatewayClassController } from "./gateway-class-controller.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

test("a GatewayClass's supported features are written once, and again only if they are missing, so versions do not overwrite each other", async () => {
  const client = new FakeKubeClient();
  running.push(
    runGatewayClassController(
      { client, severalNetworks: false, clock: systemClock, log: silentLogger },
      stopped.signal,
    ),
  );
  const classWhere = async (holds: (found: GatewayClass) => boolean): Promise<GatewayClass> =>
    await until(async () => {
      const found = await client.get(gatewayClassKind, "istio");
      return found !== undefined && holds(found) ? found : undefined;
    });
  const made = await classWhere((found) => (found.status?.supportedFeatures?.length ?? 0) > 1);
  const others = [{ name: "Gateway" }];
  const accepted = made.status?.conditions?.[0];
  assert.equal(accepted?.type, "Accepted");
  client.put(gatewayClassKind, {
    ...made,
    status: { ...made.status, supportedFeatures: others, conditions: [] },
  } as never);
  // A single condition shows that the controller has seen the change.
  const left = await classWhere((found) => found.status?.conditions?.length === 1);
  assert.deepEqual(left.status?.supportedFeatures, others);
  client.put(gatewayClassKind, { ...left, status: { conditions: left.status?.conditions } } as never);
  await classWhere((found) => (found.status?.supportedFeatures?.length ?? 0) > 1);
});

test("only a mesh with several networks has a class for gateways between them", async () => {
  for (const severalNetworks of [true, false]) {
    const client = new FakeKubeClient();
    running.push(
      runGatewayClassController({ client, severalNetworks, clock: systemClock, log: silentLogger }, stopped.signal),
    );
    await until(async () => (await client.get(gatewayClassKind, "istio-waypoint"))?.status?.conditions !== undefined);
    assert.equal(
      (await client.get(gatewayClassKind, "istio-east-west"))?.spec.controllerName,
      severalNetworks ? "istio.io/eastwest-controller" : undefined,
    );
  }
});
