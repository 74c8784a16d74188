import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toJson, type JsonObject } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { mergeMessage } from "../../../wire/envoy-types/index.ts";
import { envoyTypes } from "../../envoy-types-file.ts";

const types = envoyTypes();
const desc = types.mustHave("envoy.config.cluster.v3.Cluster");

function merged(target: JsonObject, source: JsonObject, replaceLists = false): JsonObject {
  const [into, from] = [target, source].map((json) => fromJson(desc, json, { registry: types.registry }));
  assert.ok(into !== undefined && from !== undefined);
  mergeMessage(reflect(desc, into, false), reflect(desc, from, false), { replaceLists });
  return toJson(desc, into, { registry: types.registry, useProtoFieldName: true }) as JsonObject;
}

test("messages merge as in protobuf, except that durations are replaced", () => {
  assert.deepEqual(merged({ connect_timeout: "1.5s" }, { connect_timeout: "3s" }), { connect_timeout: "3s" });
  assert.deepEqual(
    merged(
      { circuit_breakers: { thresholds: [{ max_requests: 1 }] } },
      { circuit_breakers: { thresholds: [{ max_retries: 2 }] } },
    ),
    { circuit_breakers: { thresholds: [{ max_requests: 1 }, { max_retries: 2 }] } },
  );
  assert.deepEqual(
    merged(
      { circuit_breakers: { thresholds: [{ max_requests: 1 }] } },
      { circuit_breakers: { thresholds: [{ max_retries: 2 }] } },
      true,
    ),
    { circuit_breakers: { thresholds: [{ max_retries: 2 }] } },
  );
  assert.deepEqual(
    merged(
      { metadata: { filter_metadata: { a: { x: 1 }, b: { y: 1 } } } },
      { metadata: { filter_metadata: { a: { z: 2 } } } },
    ),
    { metadata: { filter_metadata: { a: { z: 2 }, b: { y: 1 } } } },
  );
  assert.deepEqual(
    merged({ outlier_detection: { interval: "1s" } }, { outlier_detection: { base_ejection_time: "2s" } }),
    { outlier_detection: { interval: "1s", base_ejection_time: "2s" } },
  );
  assert.deepEqual(merged({ ring_hash_lb_config: { minimum_ring_size: 1 } }, { maglev_lb_config: {} }), {
    maglev_lb_config: {},
  });
  // As in upstream, a merge cannot replace a value with a wrapped 0.
  assert.deepEqual(merged({ per_connection_buffer_limit_bytes: 5 }, { per_connection_buffer_limit_bytes: 0 }), {
    per_connection_buffer_limit_bytes: 5,
  });
});
