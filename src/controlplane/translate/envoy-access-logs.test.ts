import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  AccessLogSchema,
  ExpressionFilterSchema,
  HttpConnectionManagerSchema,
  ListenerSchema,
  TcpProxySchema,
  type AccessLog,
} from "../../wire/envoy/index.ts";
import { decodeResource } from "../testing/decode-resource.ts";
import { unacceptedFilter, withAcceptedLogs } from "./envoy-access-logs.ts";
import { encodeResource } from "./resource.ts";

function log(name: string, filter?: string): AccessLog {
  if (filter === undefined) return create(AccessLogSchema, { name });
  const value = anyPack(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression: "response.code >= 400" }));
  const cel = {
    case: "extensionFilter" as const,
    value: { name: filter, configType: { case: "typedConfig" as const, value } },
  };
  const filters = [{ filterSpecifier: { case: "responseFlagFilter" as const, value: { flags: ["NR"] } } }];
  return create(AccessLogSchema, {
    name,
    filter: { filterSpecifier: { case: "andFilter", value: { filters: [...filters, { filterSpecifier: cel }] } } },
  });
}

function listener(accessLog: AccessLog[]) {
  const http = anyPack(HttpConnectionManagerSchema, create(HttpConnectionManagerSchema, { accessLog }));
  const tcp = anyPack(TcpProxySchema, create(TcpProxySchema, { accessLog }));
  const chain = (value: typeof http) => ({
    filters: [{ name: "f", configType: { case: "typedConfig" as const, value } }],
  });
  const message = create(ListenerSchema, { accessLog, filterChains: [chain(http)], defaultFilterChain: chain(tcp) });
  return encodeResource(ListenerSchema, "l", message);
}

test("an Envoy gets a listener without the access logs whose filter it does not take", () => {
  const good = log("good", "envoy.access_loggers.extension_filters.cel");
  const bad = log("bad", unacceptedFilter);
  const made = withAcceptedLogs(listener([log("plain"), good, bad]));
  assert.deepEqual(
    decodeResource(ListenerSchema, made),
    decodeResource(ListenerSchema, listener([log("plain"), good])),
  );
  assert.equal(made.version, listener([log("plain"), good]).version);
  for (const kept of [listener([log("plain")]), listener([log("plain"), good])])
    assert.equal(withAcceptedLogs(kept), kept);
});
