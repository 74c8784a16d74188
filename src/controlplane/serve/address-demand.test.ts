import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { systemClock } from "../../base/index.ts";
import { DeltaDiscoveryResponseSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { createModelFixture, namespace, pod, service } from "../testing/model-fixture.ts";
import { deriveAmbientResources } from "../translate/index.ts";
import { DiscoveryStream } from "./discovery-stream.ts";
import { ResponseBodies } from "./response-encoder.ts";
import { CollectionView } from "./resource-views/resource-view.ts";
import { SharedView } from "./resource-views/shared-view.ts";

function onDemand() {
  const fixture = createModelFixture();
  const { addresses } = deriveAmbientResources(fixture.graph, fixture.inputs);
  const view = new SharedView(new CollectionView(addresses));
  const sent: { names: string[]; removed: string[]; aliases: Record<string, string[]> }[] = [];
  let nonce = "";
  const stream = new DiscoveryStream({
    proxy: { id: "ztunnel.istio-system", type: "ztunnel", node: "node-9" } as never,
    protocol: "delta",
    sink: {
      write: (parts: readonly Uint8Array[]) => {
        const response = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
        ({ nonce } = response);
        sent.push({
          names: response.resources.map(({ name }) => name).sort(),
          removed: response.removedResources,
          aliases: Object.fromEntries(response.resources.map(({ name, aliases }) => [name, aliases])),
        });
        return true;
      },
    },
    viewOf: () => view,
    generation: () => 1,
    clock: systemClock,
    turnMs: () => systemClock.steadyMs(),
    isModelSettling: () => false,
    observer: { pushed: () => undefined, rejected: () => undefined, expired: () => undefined },
    pending: () => undefined,
    bodies: new ResponseBodies(),
    keep: () => undefined,
    serial: 1,
  } as never);
  const request = (subscribe: readonly string[], unsubscribe: readonly string[] = []): void =>
    stream.receive({
      typeUrl: typeUrls.address,
      nonce,
      rejection: undefined,
      subscribe,
      unsubscribe,
      known: {},
      whole: undefined,
    });
  return {
    ...fixture,
    request,
    /** Returns the resources that were sent since the last call, and acknowledges them. */
    taken: () => {
      stream.pump();
      const taken = sent.splice(0);
      if (taken.length > 0) request([]);
      return taken;
    },
    close: () => stream.close(),
  };
}

const web = [
  namespace("shop"),
  service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }]),
  pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
  pod("shop/other", "10.244.1.6"),
  pod("shop/near", "10.244.9.1", { node: "node-9" }),
];
const uid = (name: string): string => `Kubernetes//Pod/shop/${name}`;

test("an on-demand ztunnel gets its node's workloads first, and later the addresses that it requests by any name", () => {
  const { apply, request, taken, close } = onDemand();
  apply(...web);
  request(["*"], ["*"]);
  assert.deepEqual(
    taken().map(({ names }) => names),
    [[uid("near")]],
  );
  request(["/10.96.0.5"]);
  const [answer] = taken();
  assert.deepEqual(answer?.names, [uid("web-1"), "shop/web.shop.svc.cluster.local"]);
  assert.deepEqual(answer?.aliases["shop/web.shop.svc.cluster.local"], ["/10.96.0.5"]);
  request(["/10.244.77.7"]);
  assert.deepEqual(
    taken().map(({ names, removed }) => [names, removed]),
    [[[], ["/10.244.77.7"]]],
  );
  close();
});

test("an on-demand ztunnel gets changes of requested addresses and of a service's new workloads, and nothing else", () => {
  const { apply, request, taken, close } = onDemand();
  apply(...web);
  request(["shop/web.shop.svc.cluster.local"]);
  assert.deepEqual(taken()[0]?.names, [uid("near"), uid("web-1"), "shop/web.shop.svc.cluster.local"]);
  apply(pod("shop/web-2", "10.244.1.7", { labels: { app: "web" } }), pod("shop/other", "10.244.1.6", { ready: false }));
  assert.deepEqual(
    taken().map(({ names }) => names),
    [[uid("web-2")]],
  );
  apply(pod("shop/web-2", "10.244.1.7", { labels: { app: "web" }, ready: false }));
  assert.deepEqual(
    taken().map(({ names }) => names),
    [[uid("web-2")]],
  );
  request(["/10.244.50.1"]);
  taken();
  apply(pod("shop/late", "10.244.50.1"));
  assert.deepEqual(
    taken().map(({ names }) => names),
    [[uid("late")]],
  );
  close();
});
