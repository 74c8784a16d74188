import assert from "node:assert/strict";
import { test } from "node:test";
import { isKnownFormat } from "./known-format.ts";

// The verdicts of Envoy 1.40 on listeners with these formats of a span's tag.
const taken = [
  "plain",
  "100%%",
  "%PROTOCOL%",
  "x%REQ(:PATH)%y%RESP(b):3%z%DURATION%",
  "%REQ(X-A?:AUTHORITY)%",
  "%DYNAMIC_METADATA(a.b:c):4%",
  "%FILTER_STATE(upstream_peer_obj:FIELD:app)%",
  "%ENVIRONMENT(X):3%",
  "%CEL(request.headers['x'])% %CEL(size(request.path) > 1)%",
];
const refused = [
  "%",
  "100%",
  "%NOTHING%",
  "%PROTOCOL:5%",
  "%PROTOCOL(x)%",
  "%REQ%",
  "%REQ()%",
  "%REQ(a b)%",
  "%REQ(a:b)%",
  "%REQ(X?Y?Z)%",
  "%REQ(X):-5%",
  "%REQ(X)",
  "%REQ(a(b))%",
  "%req(X)%",
  "%ENVIRONMENT%",
  "%FILTER_STATE(a:BAD)%",
  "%FILTER_STATE(a:FIELD)%",
  "%GRPC_STATUS(BAD)%",
  "%CEL(1 +)%",
  "%CEL(string(a))%",
];

test("a format that Envoy takes is known, and none for which it rejects a listener", () => {
  for (const format of taken) assert.equal(isKnownFormat(format), true, format);
  for (const format of refused) assert.equal(isKnownFormat(format), false, format);
});
