import assert from "node:assert/strict";
import { after, test } from "node:test";
import { gatewayClassKind, type GatewayClass } from "../../api/gateway/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { runGatewayClassController } from "./status-writer.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

test("what a GatewayClass supports is said once, and again when nothing is said: versions do not write against each other", async () => {
  const client = new FakeKubeClient();
  running.push(
    runGatewayClassController(
      { client, severalNetworks: false, clock: systemClock, log: silentLogger },
      stopped.signal,
    ),
  );
  const eventually = async (holds: (found: GatewayClass | undefined) => boolean): Promise<GatewayClass | undefined> => {
    for (;;) {
      const found = await client.get(gatewayClassKind, "istio");
      if (holds(found)) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const made = await eventually((found) => (found?.status?.supportedFeatures?.length ?? 0) > 1);
  const others = [{ name: "Gateway" }];
  const accepted = made?.status?.conditions?.[0];
  assert.equal(accepted?.type, "Accepted");
  client.put(gatewayClassKind, {
    ...made,
    status: { ...made?.status, supportedFeatures: others, conditions: [] },
  } as never);
  // The condition shows that the controller has seen the change.
  const left = await eventually((found) => found?.status?.conditions?.length === 1);
  assert.deepEqual(left?.status?.supportedFeatures, others);
  client.put(gatewayClassKind, { ...left, status: { conditions: left?.status?.conditions } } as never);
  await eventually((found) => (found?.status?.supportedFeatures?.length ?? 0) > 1);
});

test("there is a class for gateways between networks where the mesh spans several, and none otherwise", async () => {
  for (const severalNetworks of [true, false]) {
    const client = new FakeKubeClient();
    running.push(
      runGatewayClassController({ client, severalNetworks, clock: systemClock, log: silentLogger }, stopped.signal),
    );
    while ((await client.get(gatewayClassKind, "istio-waypoint"))?.status?.conditions === undefined)
      await new Promise((resolve) => setImmediate(resolve));
    assert.equal(
      (await client.get(gatewayClassKind, "istio-east-west"))?.spec.controllerName,
      severalNetworks ? "istio.io/eastwest-controller" : undefined,
    );
  }
});
