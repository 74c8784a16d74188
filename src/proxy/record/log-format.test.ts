import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { addressText, UpstreamEnd } from "../terms/address-text.ts";
import { randomUuids } from "../terms/random-id.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { mutualTls } from "../testing/filter-request.ts";
import { plainRecord } from "../testing/plain-record.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import { operatorNames } from "../../base/command-operators/index.ts";
import { systemClock, threadCpuTimeMs } from "../../base/index.ts";
import { AccessLog } from "../../telemetry/index.ts";
import { maxLineLength } from "./line-composer.ts";
import { compileJsonFormat, compileTextFormat, type LogFormat } from "./log-format.ts";

const record: ExchangeRecord = {
  ...plainRecord,
  pathAndQuery: "/a?b",
  status: 503,
  flag: 2,
  details: "upstream_reset_before_response_started{x}",
  upstreamServiceMs: -1,
  answeredAfterMs: -1,
  userAgent: "",
  capturedRequest: ["captured"],
  downstreamLocal: "10.0.0.1:80",
  downstreamRemote: "1.2.3.4:555",
};
const refuse = (operator: string): Error => new Error(`unknown ${operator}`);
async function written(format: LogFormat, ...records: readonly ExchangeRecord[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  const file = new AccessLog({
    sink: { write: async (bytes) => void parts.push(await Promise.resolve(Buffer.from(bytes))) },
    clock: systemClock,
  });
  for (const one of records) format.write(file, one, capture);
  await file.flush();
  assert.equal(file.droppedLines, 0);
  return Buffer.concat(parts);
}

function propertiesReadBy(operator: string): readonly PropertyKey[] {
  const properties = new Set<PropertyKey>();
  const watched = new Proxy(record, {
    get: (target, name) => {
      properties.add(name);
      return Reflect.get(target, name) as unknown;
    },
  });
  compileTextFormat(`%${operator}%`, refuse).line(watched, capture);
  return [...properties];
}

const capture = { request: new Map([["x-extra", 0]]), response: new Map<string, number>() };

test("a line is written as Istio's default format says", async () => {
  const format = compileTextFormat(
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
    refuse,
  );
  for (let time = 0; time < 2; time += 1)
    assert.equal((await written(format, record)).toString(), format.line(record, capture));
  assert.equal(
    format.line(record, capture),
    '[2026-01-02T03:04:05.006Z] "GET /a?b HTTP/1.1" 503 UF upstream_reset_before_response_started{x} - "-" 3 4 12 - "1.2.3.4" "-" "id-1" "shop.test" "-" - - 10.0.0.1:80 1.2.3.4:555 - r\n',
  );
});

test("IPv6 addresses have brackets before a port, and none without one", () => {
  assert.deepEqual(
    [addressText({ address: "::1", port: 80 }), addressText({ address: "10.0.0.1", port: 80 })],
    ["[::1]:80", "10.0.0.1:80"],
  );
  const addressed = {
    ...record,
    connection: { ...record.connection },
    downstreamLocal: "[::1]:80",
    downstreamRemote: "[fd00::2]:555",
    upstreamLocal: "[fd00::1]:7",
  };
  const format = compileTextFormat(
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    refuse,
  );
  assert.equal(format.line(addressed, capture), "[::1]:80 ::1 fd00::2 555 fd00::1");
  assert.equal(
    format.line({ ...addressed, connection: { ...record.connection }, downstreamLocal: "10.0.0.1:80" }, capture),
    "10.0.0.1:80 10.0.0.1 fd00::2 555 fd00::1",
  );
});

test("other fields are captured by name and cut to a length, and unknown operators are refused", () => {
  const format = compileTextFormat("%REQ(x-extra):4%|%RESP(x-none)%|100%%", refuse);
  assert.deepEqual([format.requestCapture.includes("x-extra"), format.responseCapture], [true, ["x-none"]]);
  assert.equal(format.line(record, capture), "capt|-|100%");
  assert.throws(() => compileTextFormat("%NO_SUCH%", refuse), /unknown %NO_SUCH%/);
  const inherited = compileTextFormat("%REQ(constructor)%", refuse);
  assert.deepEqual(inherited.requestCapture, ["constructor"]);
  assert.equal(inherited.line(record, capture), "-");
});

test("an operator that never has a value is truncated and omitted like an empty value", () => {
  assert.equal(
    compileTextFormat("a%CONNECTION_ID%b%CONNECTION_ID:0%c%CONNECTION_ID(x):3%", refuse).line(record, capture),
    "a-bc-",
  );
  assert.equal(
    compileTextFormat("a%CONNECTION_ID%b%CONNECTION_ID:3%c", refuse, { omitsEmpty: true }).line(record, capture),
    "abc",
  );
});

test("a start time is correct within a second, across seconds, before it, with fractions and before 1970", async () => {
  const format = compileTextFormat("%START_TIME%", refuse);
  for (const startedMs of [
    1_767_323_045_006, 1_767_323_045_999.9, 1_767_323_046_000, 1_767_323_045_000, 0, 999.5, -0.5, -1, -1500.5,
    253_402_300_800_007,
  ]) {
    assert.equal(format.line({ ...record, startedMs }, capture), new Date(startedMs).toISOString(), String(startedMs));
    for (let time = 0; time < 2; time += 1)
      assert.equal(
        (await written(format, { ...record, startedMs })).toString(),
        new Date(startedMs).toISOString(),
        String(startedMs),
      );
  }
});

test("JSON keeps numbers as numbers and missing values as null", () => {
  const format = compileJsonFormat(
    { code: "%RESPONSE_CODE%", host: "%UPSTREAM_HOST%", text: "%REQ(:METHOD)% %PROTOCOL%" },
    refuse,
  );
  assert.deepEqual(JSON.parse(format.line(record, capture)), { code: 503, host: null, text: "GET HTTP/1.1" });
});

test("every operator of Envoy is accepted, those that this proxy does not measure are empty, and a wrong argument is refused", () => {
  const peer = { workload: "w", namespace: "n", cluster: "c", canonicalName: "app", canonicalRevision: "v1" };
  const full: ExchangeRecord = {
    ...plainRecord,
    pathAndQuery: "/a?b=1&c=%20d",
    grpcStatus: "5",
    flag: 1,
    trailers: ["grpc-message", "gone"],
    downstreamPeer: peer,
    upstreamPeer: { ...peer, labels: { role: "x" } },
    retries: 2,
    metadata: new Map([["jwt", { iss: "me", list: [1] }]]),
    trace: {
      traceId: "t1",
      spanId: "s1",
      parentSpanId: undefined,
      sampled: true,
      upstreamSpanId: undefined,
      lines: "",
      replaced: undefined,
      forwardedMs: 0,
      operationGiven: undefined,
    },
  };
  const shown = (text: string): string => compileTextFormat(text, refuse).line(full, capture);
  const cases: readonly (readonly [format: string, expected: string])[] = [
    ["%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "2026/01/02T03:04:05+0000 1767323045"],
    ["%START_TIME(%s.%3f)% %START_TIME(%d/%b/%Y:%T)%", "1767323045.006 02/Jan/2026:03:04:05"],
    ["%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", "NotFound NOT_FOUND 5 5"],
    ["%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "UH NoHealthyUpstream"],
    ["%TRAILER(x-none?GRPC-MESSAGE):2%|%TRAILER(x-none)%", "go|-"],
    [
      "%DYNAMIC_METADATA(jwt:iss)%|%DYNAMIC_METADATA(jwt)%|%DYNAMIC_METADATA(jwt:none)%",
      'me|{"iss":"me","list":[1]}|-',
    ],
    [
      "%FILTER_STATE(downstream_peer:FIELD:workload)%|%FILTER_STATE(wasm.downstream_peer)%|%FILTER_STATE(other)%",
      "w|workload=w,cluster=c,namespace=n,service=app,revision=v1,app=app,version=v1|-",
    ],
    [
      "%FILTER_STATE(upstream_peer)%",
      "workload=w,cluster=c,namespace=n,service=app,revision=v1,app=app,version=v1,labels[]role=x",
    ],
    ["%QUERY_PARAM(c)%|%QUERY_PARAMS%|%PATH(NQ)%|%REQ_WITHOUT_QUERY(:PATH)%", " d|b=1&c=%20d|/a|/a"],
    ["%TRACE_ID%/%SPAN_ID% %STREAM_ID%", "t1/s1 id-1"],
    ["%CEL(request.method + '(' + request.path + ')')%", "GET(/a?b=1&c=%20d)"],
    ["%REQ(:SCHEME)% %RESP(:STATUS)% %ACCESS_LOG_TYPE%", "http 200 DownstreamEnd"],
    ["%UPSTREAM_TLS_VERSION% %CONNECTION_ID% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "- - 0"],
    ["100%% of %PROTOCOL%, 50% more", "100% of HTTP/1.1, 50% more"],
  ];
  for (const [format, expected] of cases) assert.equal(shown(format), expected, format);
  for (const wrong of ["%START_TIME(%Q)%", "%GRPC_STATUS(OTHER)%", "%REQ(x%", "%CEL(1 +)%", "%REQ(x):z%"])
    assert.throws(() => compileTextFormat(wrong, refuse), /unknown %/, wrong);
});

test("in JSON, header values stay text and measured values are numbers", () => {
  const format = compileJsonFormat(
    { id: "%REQ(x-extra)%", took: "%DURATION%", time: "%START_TIME(%s)%", none: "%GRPC_STATUS_NUMBER%" },
    refuse,
  );
  assert.deepEqual(JSON.parse(format.line({ ...record, capturedRequest: ["0042"] }, capture)), {
    id: "0042",
    took: 12,
    time: "1767323045",
    none: null,
  });
});

test("a line describes its own request and connection, whatever the previous request was", async () => {
  const text =
    "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON% %REQ(X-FORWARDED-FOR)% %REQ(USER-AGENT)% %REQ(:AUTHORITY)% %GRPC_STATUS_NUMBER% %ROUTE_NAME% %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQ(x-extra)%";
  const other = { ...record.connection };
  const endpointOf = (name: string): Endpoint => ({ name, config: {} }) as Endpoint;
  const changes: readonly Partial<ExchangeRecord>[] = [
    {},
    {},
    {},
    { method: "PUT" },
    { pathAndQuery: "/c" },
    { protocol: "HTTP/2" },
    { status: 200 },
    { flag: 0 },
    { details: "d" },
    { transportFailure: "t" },
    { forwardedFor: "f" },
    { userAgent: "u é €" },
    { authority: "a" },
    { grpcStatus: "3" },
    { routeName: "o" },
    { sentBytes: 9 },
    { upstreamLocal: "l" },
    { endpoint: endpointOf("e1") },
    { endpoint: endpointOf("e2") },
    { upstreamLocal: "l", endpoint: endpointOf("e2") },
    { cluster: { name: "c" } as Cluster },
    { connection: other, downstreamRemote: "9.9.9.9:9" },
    { capturedRequest: ["more"] },
    {},
  ];
  const format = compileTextFormat(text, refuse);
  for (const change of changes) {
    const changed = { ...record, ...change };
    // The first request of a kind, and the ones that follow it.
    for (let time = 0; time < 3; time += 1)
      assert.deepEqual(
        await written(format, changed),
        await written(compileTextFormat(text, refuse), changed),
        JSON.stringify(Object.keys(change)),
      );
  }
});

test("lines of many requests keep their order and their own values, though the record is reused and two logs share connections", async () => {
  const text =
    '%START_TIME% "%REQ(:PATH)%" %RESPONSE_CODE% %BYTES_SENT% %DURATION% %REQ(X-REQUEST-ID)% %UPSTREAM_HOST% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS%\n';
  const formats = [compileTextFormat(text, refuse), compileTextFormat(`2 ${text}`, refuse)];
  const connections = [{ ...record.connection }, { ...record.connection }];
  const file = (parts: string[]): AccessLog =>
    new AccessLog({
      sink: { write: async (bytes) => void parts.push(await Promise.resolve(Buffer.from(bytes).toString())) },
      clock: systemClock,
    });
  const [first, second]: [string[], string[]] = [[], []];
  const files = [file(first), file(second)];
  const expected: string[][] = [[], []];
  const used: { -readonly [Name in keyof ExchangeRecord]: ExchangeRecord[Name] } = { ...record };
  const newId = randomUuids((bytes) => randomFillSync(bytes));
  for (let index = 0; index < 200; index += 1) {
    const way = index % 3;
    // The ids come in groups of four: random ids, given ids that differ, random ids, given ids that are equal.
    const randomId = index % 8 < 4 ? newId() : undefined;
    Object.assign(used, {
      connection: connections[index % 2],
      downstreamRemote: `10.0.0.${index % 2}:9`,
      pathAndQuery: index === 100 ? `/${"long".repeat(20_000)}` : `/${index}`,
      requestId: String(randomId ?? (index % 16 < 8 ? `given-${index}` : "given")),
      randomId,
      sentBytes: index,
      durationMs: index / 3,
      status: index % 5 === 0 ? 500 : 200,
      startedMs: index * 7,
      upstreamLocal: `l${way}`,
      endpoint: { name: `e${way}`, config: {} } as Endpoint,
    });
    for (const [at, format] of formats.entries()) {
      expected[at]?.push(format.line(used, capture));
      format.write(files[at] ?? assert.fail(), used, capture);
    }
  }
  for (const one of files) await one.flush();
  assert.equal(first.join(""), expected[0]?.join(""));
  assert.equal(second.join(""), expected[1]?.join(""));
});

test("a line has the digits of its own numbers and the letters of its own texts, whatever lengths the line before had", async () => {
  const text = "%START_TIME%|%BYTES_RECEIVED%|%REQ(:PATH)%|%BYTES_SENT%|%DURATION%|%REQ(:PATH)%|%RESPONSE_DURATION%\n";
  const format = compileTextFormat(text, refuse);
  const numbers = [0, 9, 10, 99, 100, 1024, 999_999_999, 1_000_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER];
  const changes = numbers.flatMap((number, index): Partial<ExchangeRecord>[] => [
    { receivedBytes: number, sentBytes: numbers.at(-index - 1) ?? 0, durationMs: number + 0.4 },
    { pathAndQuery: `/${"p".repeat((number % 300) * 20)}`, upstreamServiceMs: index % 2 === 0 ? -1 : index },
    { startedMs: 253_402_300_799_990 + index * 2, pathAndQuery: "/\u00e9" },
    { startedMs: (index - 5) * 700.5 },
  ]);
  const records = changes.map((change) => ({ ...record, ...change }));
  assert.deepEqual(
    (await written(format, ...records)).toString("latin1"),
    records.map((one) => format.line(one, capture)).join(""),
  );
});

test("a line has its request's own id where ids of clients and of the proxy take turns", async () => {
  const newId = randomUuids((bytes) => bytes.fill(0xab));
  const randomId = newId();
  const id = randomId.toString();
  const given = { ...record, requestId: "given" };
  const random = { ...record, requestId: id, randomId };
  const lines = await written(compileTextFormat("%REQ(X-REQUEST-ID)%\n", refuse), given, random, given, random, given);
  assert.equal(String(lines), `given\n${id}\ngiven\n${id}\ngiven\n`);
});

test("a text that is empty after a long one leaves nothing of the long one in later lines", async () => {
  const formats = [
    compileTextFormat("[%REQ(x-extra)%]\n", refuse, { omitsEmpty: true }),
    compileTextFormat("[%REQ_WITHOUT_QUERY(x-extra)%]\n", refuse),
  ];
  const texts = ["a".repeat(300), "", "", "b".repeat(300), "?x", "?y"];
  const connection = { ...record.connection };
  const records = texts.map((text): ExchangeRecord => ({ ...record, connection, capturedRequest: [text] }));
  assert.deepEqual(
    await Promise.all(formats.map(async (format) => (await written(format, ...records)).toString())),
    formats.map((format) => records.map((one) => format.line(one, capture)).join("")),
  );
});

test("a line that was written does not keep a long text of its request in memory", async () => {
  const format = compileTextFormat("%REQ(:PATH)% %REQ(USER-AGENT)%\n", refuse);
  const connection = { ...record.connection };
  delete connection.logKind;
  const usual = { ...record, connection, pathAndQuery: "/a" };
  await written(format, usual);
  assert.notEqual(usual.connection.logKind, undefined);
  for (const long of [{ pathAndQuery: `/${"a".repeat(5000)}` }, { userAgent: "a".repeat(5000) }]) {
    const line = await written(format, { ...usual, ...long });
    assert.equal(line.toString(), format.line({ ...usual, ...long }, capture));
    assert.equal(usual.connection.logKind, undefined);
  }
});

test("lines of an upstream connection keep its address, and name the endpoint and cluster of their own request", async () => {
  const text = "%REQ(:PATH)% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %BYTES_SENT% %UPSTREAM_LOCAL_ADDRESS%\n";
  const formats = [compileTextFormat(text, refuse), compileTextFormat(`2 ${text}`, refuse)];
  const ends = [1, 2].map((port) => new UpstreamEnd({ address: "10.0.0.9", port }));
  const endpoints = ["e1", "endpoint-2"].map((name) => ({ name, config: {} }) as Endpoint);
  const clusters = ["c1", "cluster-2"].map((name) => ({ name }) as Cluster);
  const records = Array.from({ length: 100 }, (_, index): ExchangeRecord => {
    const upstreamEnd = index % 7 === 0 ? undefined : ends[index % 2];
    const upstreamLocal = upstreamEnd?.text ?? `l${index % 3}`;
    return { ...record, upstreamEnd, upstreamLocal, endpoint: endpoints[index % 3], cluster: clusters[index % 5] };
  });
  for (const format of formats)
    assert.equal(
      (await written(format, ...records)).toString(),
      records.map((one) => format.line(one, capture)).join(""),
    );
});

test("every value that is cached for an upstream path depends only on the cluster, the endpoint and the local address", () => {
  const way = new Set<PropertyKey>(["cluster", "endpoint", "upstreamLocal"]);
  for (const name of [
    "HOST",
    "HOST_NAME",
    "HOST_NAME_WITHOUT_PORT",
    "CLUSTER",
    "CLUSTER_RAW",
    "LOCAL_ADDRESS",
    "LOCAL_ADDRESS_WITHOUT_PORT",
    "LOCAL_PORT",
    "REMOTE_ADDRESS",
    "REMOTE_ADDRESS_WITHOUT_PORT",
    "REMOTE_PORT",
  ])
    assert.deepEqual(
      propertiesReadBy(`UPSTREAM_${name}`).filter((property) => !way.has(property)),
      [],
      name,
    );
});

test("every value that is cached for a kind of request depends only on the fields that identify the kind", () => {
  const kind = new Set<PropertyKey>([
    "connection",
    "method",
    "protocol",
    "authority",
    "forwardedFor",
    "userAgent",
    "routeName",
    "status",
    "flag",
    "details",
    "transportFailure",
    "grpcStatus",
  ]);
  // These values belong to the connection, in every record.
  for (const name of ["downstreamLocal", "downstreamRemote", "requestedServerName"]) kind.add(name);
  for (const operator of [
    "PROTOCOL",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "ROUTE_NAME",
    "REQUESTED_SERVER_NAME",
    "HOSTNAME",
    "ACCESS_LOG_TYPE",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_PEER_URI_SAN",
    "REQ(:METHOD)",
    "REQ(:AUTHORITY)",
    "REQ(:SCHEME)",
    "REQ(HOST)",
    "REQ(X-FORWARDED-FOR)",
    "REQ(USER-AGENT)",
  ]) {
    assert.deepEqual(
      propertiesReadBy(operator).filter((name) => !kind.has(name)),
      [],
      operator,
    );
  }
});

test("a client's value cannot start a new line in text, and JSON keeps it unchanged", () => {
  const peer = { workload: "w\n[2026", namespace: "n", cluster: "c", canonicalName: "app", canonicalRevision: "v1" };
  const hostile: ExchangeRecord = {
    ...plainRecord,
    pathAndQuery: "/a?c=%0d%0aforged",
    downstreamPeer: peer,
    metadata: new Map([["jwt", { iss: "me\nforged" }]]),
    transportFailure: "no\r\nway",
    connection: {
      ...plainRecord.connection,
      tls: mutualTls("spiffe://a\nb", { peerDnsNames: () => ["a\nb"] }),
      serverName: "a\nb",
    },
  };
  for (const operator of [
    "QUERY_PARAM(c)",
    "DYNAMIC_METADATA(jwt:iss)",
    "METADATA(DYNAMIC:jwt:iss)",
    "FILTER_STATE(downstream_peer:FIELD:workload)",
    "FILTER_STATE(downstream_peer)",
    "CEL(request.url_path + '\\n')",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_PEER_DNS_SAN",
    "REQUESTED_SERVER_NAME",
  ]) {
    const line = compileTextFormat(`%${operator}%\n`, refuse).line(hostile, capture);
    assert.match(line, /^[^\r\n]*\\u000a[^\r\n]*\n$/, operator);
    const json = compileJsonFormat({ value: `%${operator}%` }, refuse).line(hostile, capture);
    assert.match(String((JSON.parse(json) as { value: unknown }).value), /\n/, operator);
    assert.equal(json.indexOf("\n"), json.length - 1, operator);
  }
});

test("bytes of heads reach a file unchanged, and a format that needs text gets characters", async () => {
  const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");
  // The values include bytes that are not UTF-8.
  const inLatin1: ExchangeRecord = {
    ...record,
    connection: { ...record.connection },
    pathAndQuery: bytesOf("/caf\u00e9"),
    userAgent: bytesOf("\u20acuro"),
    capturedRequest: ["\u00ff"],
    trailers: ["grpc-message", bytesOf("na\u00efve")],
    routeName: "gr\u00fc\u00dfe",
    cluster: { name: "\u20ac" } as Cluster,
    transportFailure: "\u00e9",
  };
  const text =
    "%REQ(:PATH)% %REQ(USER-AGENT)% %REQ(x-extra)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %TRAILER(grpc-message)% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_TRANSPORT_FAILURE_REASON%";
  const letters = (extra: string): string =>
    `/caf\u00e9 \u20acuro ${extra} /caf\u00e9 na\u00efve gr\u00fc\u00dfe \u20ac \u00e9`;
  for (let time = 0; time < 2; time += 1)
    assert.deepEqual(
      await written(compileTextFormat(text, refuse), inLatin1),
      Buffer.concat([
        Buffer.from("/caf\u00e9 \u20acuro "),
        Buffer.from([0xff]),
        Buffer.from(letters("").slice(letters("").indexOf("  ") + 1)),
      ]),
    );
  assert.equal(compileTextFormat(text, refuse).line(inLatin1, capture), letters("\u00ff"));
  const json = compileJsonFormat({ all: text }, refuse);
  assert.deepEqual(JSON.parse((await written(json, inLatin1)).toString()), { all: letters("\u00ff") });
  // A character whose low byte would end the line.
  assert.equal(
    (
      await written(compileTextFormat("%REQ(USER-AGENT)% %REQ(x-extra)%", refuse), {
        ...inLatin1,
        connection: { ...record.connection },
        userAgent: "a\u010a",
        capturedRequest: ["b\u010a"],
      })
    ).includes(10),
    false,
  );
});

test("a format of very many values writes the same lines as a short one", async () => {
  const part = "%REQ(:METHOD)% %REQ(x-extra)% gr\u00fc\u00dfe %UPSTREAM_HOST% %START_TIME% %ROUTE_NAME% %BYTES_SENT%;";
  const records = ["", "a", "\u00ff".repeat(9), "b"].map((extra) => ({ ...record, capturedRequest: [extra] }));
  for (const one of records) {
    const short = await written(compileTextFormat(part, refuse), one);
    const many = await written(compileTextFormat(`${part.repeat(40)}\n`, refuse), one);
    assert.deepEqual(many, Buffer.concat([...Array.from({ length: 40 }, () => short), Buffer.from("\n")]));
  }
});

test("a format that repeats a long header of the client writes a line of limited length, in limited time", async () => {
  const long = { ...record, capturedRequest: ["v".repeat(60_000)] };
  const text = compileTextFormat(`${"%REQ(x-extra)% ".repeat(10_000)}\n`, refuse);
  const line = await written(text, long);
  assert.equal(line.length, maxLineLength + 1);
  assert.equal(line.indexOf("\n"), maxLineLength);
  assert.equal(text.line(long, capture).length, maxLineLength);
  // Values whose length changes from line to line take time in proportion to their number.
  const many = compileTextFormat("%REQ(x-extra)%".repeat(20_000), refuse);
  const startedMs = threadCpuTimeMs();
  for (let at = 0; at < 20; at += 1) await written(many, { ...record, capturedRequest: ["v".repeat(1 + (at % 2))] });
  const takenMs = threadCpuTimeMs() - startedMs;
  assert.ok(takenMs < 1500, `${takenMs} ms`);
});

test("a client cannot hide its request by a header that makes the line too long for its file", async () => {
  for (const letter of ["a", '"', "\t", "\\", "\u00ff"]) {
    const long = { ...record, capturedRequest: [letter.repeat(60_000)] };
    for (const format of ["%REQ(x-extra)% %REQ(:PATH)%\n", "%REQ(:PATH)% %REQ(x-extra)% %REQ(x-extra)%\n"]) {
      const line = (await written(compileTextFormat(format, refuse), long)).toString();
      assert.ok(line.length > 60_000 && line.indexOf("\n") === line.length - 1);
    }
    const fields = { first: "%REQ(x-extra)%", nested: { path: "%REQ(:PATH)%", again: "%REQ(x-extra)%" } };
    const line = (await written(compileJsonFormat(fields, refuse), long)).toString();
    assert.equal(line.indexOf("\n"), line.length - 1);
    const { first } = JSON.parse(line) as { first: string };
    assert.match(first, /^(.)\1{10000,}$/u);
  }
});

test("no operator ends the proxy when it makes a line, whatever its argument is", () => {
  const forms =
    "X;a:b;a?b;constructor;__proto__;downstream_peer:FIELD:constructor;WQ:ORIG;request.time;request.duration;" +
    "request.headers;[1];{'a': 1u};1u;b'a';null;request;type(1);1/0;metadata;connection;int(request.headers['x-extra'])";
  const operands = ["", ...forms.split(";").map((form) => `(${form})`)];
  const records: readonly ExchangeRecord[] = [
    record,
    {
      ...record,
      grpcStatus: "9".repeat(10_000),
      metadata: new Map([["a", { b: [null] }]]),
      capturedRequest: ["\ud800"],
    },
    { ...record, connection: { ...record.connection, tls: mutualTls("spiffe://cluster.local/ns/a/sa/b") } },
  ];
  for (const name of operatorNames)
    for (const operand of operands)
      for (const length of ["", ":5"]) {
        const operator = `%${name}${operand}${length}%`;
        let formats: readonly LogFormat[];
        try {
          formats = [compileTextFormat(operator, refuse), compileJsonFormat({ value: operator }, refuse)];
        } catch {
          continue;
        }
        for (const one of records)
          for (const format of formats)
            assert.doesNotThrow(() => assert.equal(typeof format.line(one, capture), "string"), operator);
      }
  const line = (operator: string): string => compileTextFormat(operator, refuse).line(record, capture);
  assert.equal(line("%ENVIRONMENT(constructor)% %FILTER_STATE(downstream_peer:FIELD:constructor)%"), "- -");
  assert.equal(line("%CEL(request.time)% %CEL(2u)% %CEL(b'a')% %CEL(1 + 1)%"), "- 2 a 2");
});

test("durations and the direct peer are as Envoy defines them", () => {
  const format = compileTextFormat(
    "%DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%",
    refuse,
  );
  // The request took 7 ms to arrive, the response began 3 ms later, and took 2 ms.
  const timed = { ...record, durationMs: 12, answeredAfterMs: 10, upstreamServiceMs: 3 };
  assert.equal(format.line(timed, capture), "12 10 2 3 1.2.3.4:555 1.2.3.4:555 1.2.3.4 555");
  // The client is from a PROXY header that a load balancer has sent.
  const proxied = { ...record.connection, directRemote: { address: "10.9.9.9", port: 7 } };
  assert.equal(
    format.line({ ...timed, connection: proxied, answeredAfterMs: -1, upstreamServiceMs: -1 }, capture),
    "12 - - - 1.2.3.4:555 10.9.9.9:7 10.9.9.9 7",
  );
});
