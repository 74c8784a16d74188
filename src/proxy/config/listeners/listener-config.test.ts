import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, ListenerSchema } from "../../../wire/envoy/index.ts";
import type { ListenerSpec } from "../../listener/listener-spec.ts";
import { tcpProxy } from "../../testing/mesh-config.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileListener } from "./listener-config.ts";

function compile(config: JsonObject): ListenerSpec {
  const message = fromJson(
    ListenerSchema,
    {
      name: "l",
      address: { socketAddress: { address: "0.0.0.0", portValue: 15_006 } },
      filterChains: [{ filters: [tcpProxy("c")] }],
      ...config,
    },
    { registry: envoyRegistry() },
  );
  return compileListener(message, new ConfigNotes(() => undefined));
}

const originalSource = (settings: JsonObject, more: JsonObject = {}): JsonObject => ({
  name: "envoy.filters.listener.original_src",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
    ...settings,
  },
  ...more,
});

test("a transparent listener may keep the client's address and set a mark, but may not keep the client's port", () => {
  const spec = compile({ transparent: true, listenerFilters: [originalSource({ mark: 1337 })] });
  assert.deepEqual(
    [spec.transparent, spec.inspectors.map(({ kind, mark }) => [kind, mark])],
    [true, [["original-source", 1337]]],
  );
  assert.equal(compile({}).transparent, false);
  assert.equal(compile({ listenerFilters: [originalSource({})] }).inspectors[0]?.mark, undefined);
  assert.throws(
    () => compile({ listenerFilters: [originalSource({ bindPort: true })] }),
    /listener l: listener filter envoy\.filters\.listener\.original_src: bindPort is not supported/,
  );
});

test("a network filter's configuration may be a TypedStruct", () => {
  const limit = {
    name: "envoy.filters.network.connection_limit",
    typedConfig: {
      "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
      typeUrl: "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
      value: { stat_prefix: "limit", max_connections: 7 },
    },
  };
  const { chains } = compile({ filterChains: [{ filters: [limit, tcpProxy("c")] }] });
  assert.deepEqual(
    chains.map(({ maxConnections }) => maxConnections),
    [7],
  );
});
