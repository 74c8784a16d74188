import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ClusterSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { decodeResource } from "../testing/decode-resource.ts";
import { testMesh } from "../testing/model-fixture.ts";
import { forAddressFamilies } from "./address-families.ts";
import { blackHoleCluster } from "./cluster.ts";
import { forwardTlsFilter, wildcardCache } from "./dynamic-forward-proxy.ts";
import { httpConnectionManagerFilter } from "./http-connection-manager.ts";
import { dynamicDnsCluster } from "./outbound/dynamic-dns.ts";
import { encodeResource } from "./resource.ts";

const familiesIn = (resource: object): readonly string[] =>
  JSON.stringify(resource).match(/(?<="dnsLookupFamily":")\w+/g) ?? [];

test("clusters and filters that forward by name look for addresses of the proxy's families, in equal caches", () => {
  const cluster = encodeResource(
    ClusterSchema,
    "c",
    dynamicDnsCluster({ unknownTraffic: "ALLOW_ANY_DYNAMIC_DNS", dnsCapture: false }, testMesh),
  );
  const manager = httpConnectionManagerFilter({
    direction: "outbound",
    statPrefix: "x",
    mesh: testMesh,
    routes: { rds: "80" },
    forwarded: [wildcardCache("*.a.test")],
  });
  const listener = encodeResource(
    ListenerSchema,
    "l",
    create(ListenerSchema, {
      filterChains: [{ filters: [manager] }],
      defaultFilterChain: { filters: [forwardTlsFilter("*.a.test", 443)] },
    }),
  );
  for (const [families, lookup] of [
    ["IPv6", "V6_ONLY"],
    ["both", "ALL"],
  ] as const) {
    const own = forAddressFamilies(families, typeUrls.cluster, cluster);
    assert.deepEqual(familiesIn(decodeResource(ClusterSchema, own)), [lookup]);
    const chosen = forAddressFamilies(families, typeUrls.listener, listener);
    assert.deepEqual(familiesIn(decodeResource(ListenerSchema, chosen)), [lookup, lookup]);
    assert.equal(forAddressFamilies(families, typeUrls.listener, listener), chosen, "made once");
  }
});

test("resources that resolve no name are the same for all families", () => {
  const cluster = encodeResource(ClusterSchema, "c", blackHoleCluster(testMesh));
  const listener = encodeResource(ListenerSchema, "l", create(ListenerSchema, { name: "l" }));
  assert.equal(forAddressFamilies("IPv6", typeUrls.cluster, cluster), cluster);
  assert.equal(forAddressFamilies("IPv6", typeUrls.listener, listener), listener);
});
