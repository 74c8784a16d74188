import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { JwtAuthenticationSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { packed } from "../translate/envoy-any.ts";
import { encodeResource } from "../translate/resource.ts";
import { namedClusters } from "./named-clusters.ts";

test("the clusters that the filters of a listener name are found by their whole names, of any length", () => {
  const names = ["outbound|80||a.test", "outbound|80||a.test.example", `outbound|8000||${"long.".repeat(60)}test`];
  const providers = Object.fromEntries(
    names.map((cluster) => {
      const httpUri = { uri: `http://${cluster}`, httpUpstreamType: { case: "cluster" as const, value: cluster } };
      return [cluster.slice(-9), { jwksSourceSpecifier: { case: "remoteJwks" as const, value: { httpUri } } }];
    }),
  );
  const filter = packed(JwtAuthenticationSchema, { providers });
  const listener = create(ListenerSchema, {
    name: "l",
    filterChains: [{ filters: [{ name: "f", configType: { case: "typedConfig", value: filter } }] }],
  });
  const found = namedClusters(encodeResource(ListenerSchema, "l", listener));
  assert.deepEqual(
    names.map((name) => found.has(name)),
    [true, true, true],
  );
  assert.equal(found.has("outbound|80||a"), false);
});
