import assert from "node:assert/strict";
import { test } from "node:test";
import { TestAuthority } from "../net/testing/index.ts";
import { configDump, type AdminSources } from "./admin.ts";
import { MeshState } from "./state/mesh-state.ts";

test("a dump names waypoints as upstream's ztunnel does, by namespace/hostname or network/address, because istioctl reads nothing else", async () => {
  const state = new MeshState();
  const service = {
    name: "web",
    namespace: "shop",
    vips: [{ network: "", address: "10.0.0.1" }],
    ports: new Map([[80, 8080]]),
    subjectAltNames: [],
    weightedWaypoints: [],
    canonical: true,
    visibility: "Public" as const,
  };
  const named = {
    destination: { namespace: "shop", hostname: "waypoint.shop.svc.cluster.local" },
    hboneMtlsPort: 15_008,
  };
  const addressed = { destination: { network: "east", address: "10.0.0.9" }, hboneMtlsPort: 15_008 };
  state.putService({
    ...service,
    hostname: "a.shop.svc.cluster.local",
    waypoint: named,
    weightedWaypoints: [{ destination: addressed, weight: 10 }],
  });
  state.putService({ ...service, hostname: "b.shop.svc.cluster.local", waypoint: addressed });
  const sources = {
    config: { version: "1", revision: "r", ports: {} },
    certificates: { statuses: () => [] },
    serving: { state, pods: () => Promise.resolve([]) },
  } as unknown as AdminSources;
  const { services } = (await configDump(sources)) as {
    readonly services: readonly { readonly waypoint: unknown; readonly weightedWaypoints: unknown }[];
  };
  assert.deepEqual(
    services.map(({ waypoint }) => waypoint),
    [
      { destination: "shop/waypoint.shop.svc.cluster.local", hboneMtlsPort: 15_008 },
      { destination: "east/10.0.0.9", hboneMtlsPort: 15_008 },
    ],
  );
  assert.deepEqual(services[0]?.weightedWaypoints, [
    { destination: { destination: "east/10.0.0.9", hboneMtlsPort: 15_008 }, weight: 10 },
  ]);
});

test("a dump has a certificate's times in seconds, as upstream's ztunnel writes them", async () => {
  const identity = "spiffe://cluster.local/ns/shop/sa/web";
  const { certificateChain, roots } = await (await TestAuthority.create()).issue({ spiffe: identity });
  const sources = {
    config: { version: "1", revision: "r", ports: {} },
    certificates: {
      statuses: () => [{ identity, state: "Available", certificate: { chainPem: certificateChain, rootsPem: roots } }],
    },
    serving: { state: new MeshState(), pods: () => Promise.resolve([]) },
  } as unknown as AdminSources;
  const { certificates } = (await configDump(sources)) as {
    readonly certificates: readonly { readonly certChain: readonly Readonly<Record<string, string>>[] }[];
  };
  for (const field of ["validFrom", "expirationTime"])
    assert.match(certificates[0]?.certChain[0]?.[field] ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, field);
});
