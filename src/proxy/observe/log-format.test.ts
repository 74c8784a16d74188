import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { compileJsonFormat, compileTextFormat } from "./log-format.ts";

const record: ExchangeRecord = {
  ...plainRecord, pathAndQuery: "/a?b", status: 503, flag: 2, details: "upstream_reset_before_response_started{x}", upstreamServiceMs: -1, userAgent: "", capturedRequest: ["captured"], downstreamLocal: "10.0.0.1:80",
  downstreamRemote: "1.2.3.4:555",
};
const refuse = (operator: string): Error => new Error(`unknown ${operator}`);
const capture = { request: new Map([["x-extra", 0]]), response: new Map<string, number>() };

test("a line is written as Istio's default format says", () => {
  const format = compileTextFormat(
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
    refuse,
  );
  assert.equal(
    format.line(record, capture),
    '[2026-01-02T03:04:05.006Z] "GET /a?b HTTP/1.1" 503 UF upstream_reset_before_response_started{x} - "-" 3 4 12 - "1.2.3.4" "-" "id-1" "shop.test" "-" - - 10.0.0.1:80 1.2.3.4:555 - r\n',
  );
});

test("other fields are captured by name, cut to a length, and unknown operators are refused", () => {
  const format = compileTextFormat("%REQ(x-extra):4%|%RESP(x-none)%|100%%", refuse);
  assert.deepEqual([format.requestCapture.includes("x-extra"), format.responseCapture], [true, ["x-none"]]);
  assert.equal(format.line(record, capture), "capt|-|100%");
  assert.throws(() => compileTextFormat("%NO_SUCH%", refuse), /unknown %NO_SUCH%/);
});

test("JSON keeps numbers as numbers and what is missing as null", () => {
  const format = compileJsonFormat({ code: "%RESPONSE_CODE%", host: "%UPSTREAM_HOST%", text: "%REQ(:METHOD)% %PROTOCOL%" }, refuse);
  assert.deepEqual(JSON.parse(format.line(record, capture)), { code: 503, host: null, text: "GET HTTP/1.1" });
});
