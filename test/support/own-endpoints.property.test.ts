// The endpoints of a sidecar's own workload, from the objects to the xDS client of Serin's proxy.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { until } from "../../src/base/testing/index.ts";
import { createSecureServer, type GrpcServersOptions } from "../../src/controlplane/serve/grpc-servers.ts";
import { always, hash, objects, PresentObjects } from "../../src/controlplane/testing/changing-mesh.ts";
import { createServedFixture } from "../../src/controlplane/testing/served-fixture.ts";
import { DeltaXdsClient } from "../../src/dataplane/xds/delta-xds-client.ts";
import type { XdsUpdate } from "../../src/dataplane/xds/xds-types.ts";
import { localClusterName, typeUrls } from "../../src/wire/xds/index.ts";

type Fixture = ReturnType<typeof createServedFixture>;

async function listen({ mesh }: Fixture) {
  const server = createSecureServer({
    discovery: mesh.discovery,
    authenticator: {
      authenticate: async () => ({ namespace: "shop", serviceAccount: "web", pod: "", podUid: "", clusterId: "" }),
    },
    certificateMetrics: { requested() {}, issued() {}, refused() {}, unauthenticated() {} },
    clock: systemClock,
    log: silentLogger,
  } as unknown as GrpcServersOptions);
  const port = await server.listen("127.0.0.1", 0);
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

/** Requests the endpoints of its clusters, as Serin's proxy does. */
function follow(url: string) {
  const versions = new Map<string, Map<string, string>>([
    [typeUrls.cluster, new Map()],
    [typeUrls.endpoint, new Map()],
  ]);
  const take = ({ typeUrl, resources, removed }: XdsUpdate): void => {
    for (const { name, version } of resources) versions.get(typeUrl)?.set(name, version);
    for (const name of removed) versions.get(typeUrl)?.delete(name);
    const clusters = [...(versions.get(typeUrls.cluster)?.keys() ?? [])].filter((name) => name.startsWith("outbound|"));
    client.setNames(typeUrls.endpoint, [localClusterName, ...clusters]);
  };
  const stop = new AbortController();
  const client: DeltaXdsClient = new DeltaXdsClient({
    endpoint: { url, headers: {} },
    node: {
      id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
      metadata: {
        NAMESPACE: "shop",
        LABELS: { app: "web", "service.istio.io/workload-name": "web", ...hash },
        ENABLE_SELF_DISCOVERY: "true",
      },
    },
    subscriptions: [
      { typeUrl: typeUrls.cluster, mode: "wildcard", apply: take },
      { typeUrl: typeUrls.endpoint, mode: "named", apply: take },
    ],
    log: silentLogger,
  });
  client.setNames(typeUrls.endpoint, [localClusterName]);
  const running = client.run(stop.signal);
  return {
    own: (): string | undefined => versions.get(typeUrls.endpoint)?.get(localClusterName),
    end: async () => {
      stop.abort();
      await running;
    },
  };
}

function servedBy({ mesh }: Fixture): string | undefined {
  const stream = [...mesh.discovery.streams].at(-1);
  return stream?.subscriptions.get(typeUrls.endpoint)?.view.get(localClusterName)?.version;
}

const change = fc.record({ object: fc.nat(objects.length - 1), version: fc.integer({ min: -1, max: 2 }) });
/** The settings of the DestinationRule decide whether scopes depend on places. */
const balancing = fc.record({ object: fc.constant(5), version: fc.integer({ min: -1, max: 1 }) });
const step = fc.record({
  rule: balancing,
  changes: fc.array(change, { minLength: 1, maxLength: 5 }),
  waits: fc.boolean(),
});

test("a sidecar ends up with the endpoints of its own workload, whatever changes while it connects and acknowledges", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
      const fixture = createServedFixture();
      const present = new PresentObjects();
      fixture.change(always);
      present.change(
        objects.map((_, object) => ({ object, version: 0 })),
        fixture.change,
      );
      const server = await listen(fixture);
      const client = follow(server.url);
      for (const { rule, changes, waits } of steps) {
        present.change([...changes, rule], fixture.change);
        if (waits) await until(() => client.own() !== undefined && client.own() === servedBy(fixture));
      }
      const scratch = createServedFixture();
      scratch.change(present.all());
      const scratchServer = await listen(scratch);
      const fresh = follow(scratchServer.url);
      await until(() => fresh.own() !== undefined && client.own() === fresh.own());
      assert.equal(client.own(), fresh.own());
      await Promise.all([client.end(), fresh.end()]);
      server.close();
      scratchServer.close();
    }),
    { numRuns: 20, endOnFailure: true },
  );
});
