import assert from "node:assert/strict";
import { constants, type ClientHttp2Session } from "node:http2";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { responseFlags } from "../terms/response-flags.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf, type RawClient } from "../testing/harness.ts";
import { sendRequest, connectTo, Http2Backend } from "../testing/http2-peers.ts";

/** A filter that holds requests, chosen by their path, until the test lets them go. */
class Gate implements HttpFilter {
  readonly name = "gate";
  readonly waiting = new Map<string, () => void>();
  readonly passedOn: string[] = [];

  async onRequest(request: Parameters<HttpFilter["onRequest"]>[0]): Promise<undefined> {
    const { path } = request;
    request.setHeader(`x-roles-of-${path.slice(1)}`, "all");
    await new Promise<void>((resolve) => this.waiting.set(path, resolve));
    this.passedOn.push(path);
    return undefined;
  }
}

test("a filter that outlasts its request changes nothing in the next request of the connection", async () => {
  const gate = new Gate();
  const later: string[] = [];
  const next: HttpFilter = { name: "next", onRequest: ({ path }) => void later.push(path) };
  await using harness = await Harness.start({ filters: [gate, next], filtersIdle: false });
  const requests: unknown[] = [];
  const { port } = await harness.backend((request, response) => {
    requests.push([request.url, ...Object.keys(request.headers).filter((name) => name.startsWith("x-roles-of"))]);
    response.end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const session = await connectTo(harness.port);
  const left = session.request({ ":path": "/left" });
  left.on("error", () => undefined);
  await until(() => gate.waiting.has("/left"));
  left.close(constants.NGHTTP2_CANCEL);
  await until(() => harness.records.length === 1);
  const answer = sendRequest(session, { ":path": "/next" });
  await until(() => gate.waiting.has("/next"));
  gate.waiting.get("/left")?.();
  await until(() => gate.passedOn.includes("/left"));
  gate.waiting.get("/next")?.();
  assert.equal((await answer).headers[":status"], 200);
  assert.deepEqual(requests, [["/next", "x-roles-of-next"]]);
  // If later filters saw a request whose client has gone, they would count it.
  assert.deepEqual(later, ["/next"]);
  session.close();
});

test("a record does not change after the exchange's end, whatever its connection does next", async () => {
  const records: ExchangeRecord[] = [];
  await using harness = await Harness.start({}, 1, { observe: (record) => void records.push(record) });
  const { port } = await harness.backend((request, response) => {
    request.resume();
    response.end(request.url);
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("POST /first HTTP/1.1\r\nhost: a\r\nuser-agent: one\r\ncontent-length: 5\r\n\r\nhello");
  await client.until(/\/first$/);
  client.send("GET /no%ZZ HTTP/1.1\r\nhost: b\r\n\r\n");
  await until(() => records.length === 2);
  const factsOfRecord = ({
    method,
    pathAndQuery,
    userAgent,
    status,
    receivedBytes,
    cluster,
  }: ExchangeRecord): unknown[] => [method, pathAndQuery, userAgent, status, receivedBytes, cluster?.name];
  assert.deepEqual(records[0] === undefined ? [] : factsOfRecord(records[0]), ["POST", "/first", "one", 200, 5, "a"]);
  client.socket.destroy();
});

test("a refused request does not have the scheme of the previous request", async () => {
  const schemes: string[] = [];
  const add = [
    {
      name: "x-scheme",
      value: ({ request }: { readonly request: { readonly scheme: string } }) => {
        schemes.push(request.scheme);
        return request.scheme;
      },
      action: "append-if-exists-or-add",
      keepEmptyValue: false,
    },
  ] as const;
  await using harness = await Harness.start({
    trustedHops: 1,
    localReplies: [
      { matches: () => true, status: undefined, body: undefined, contentType: undefined, headers: { add, remove: [] } },
    ],
  });
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: https\r\n\r\n");
  await client.until(/^HTTP\/1\.1 404 /);
  client.send("get / HTTP/1.1\r\nhost: a\r\n\r\n");
  await client.until(/HTTP\/1\.1 400 /);
  assert.deepEqual(schemes, ["https", "http"]);
  client.socket.destroy();
});

test("nothing follows a filter's reply to the first bytes of a request that expects 100 Continue", async () => {
  const filter: HttpFilter = {
    name: "refuses-bodies",
    onRequest: () => undefined,
    stream: () => ({
      requestBody: () => ({
        kind: "reply",
        reply: { status: 413, body: "too much", headers: [], flag: responseFlags.none, details: "test" },
      }),
    }),
  };
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false, forwardContinue: false });
  harness.cluster("a", [(await harness.backend(() => undefined)).port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\nhello");
  await client.closed;
  assert.match(client.received, /^HTTP\/1\.1 413 [^]*too much$/);
  client.socket.destroy();
});

/** The state that an exchange may leave behind: retries, filters, refusals, trailers, gRPC, metadata and bodies. */
const before: readonly { readonly name: string; readonly http1: string; readonly http2: Record<string, string> }[] = [
  { name: "retried", http1: "GET /retried HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/retried" } },
  { name: "refused by a filter", http1: "GET /denied HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/denied" } },
  { name: "changed by a filter", http1: "GET /edited HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/edited" } },
  { name: "without a route", http1: "GET /none HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/none" } },
  { name: "without an endpoint", http1: "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/empty" } },
  { name: "of a late answer", http1: "GET /late HTTP/1.1\r\nhost: a\r\n\r\n", http2: { ":path": "/late" } },
  {
    name: "of gRPC",
    http1: "POST /grpc HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0",
    http2: { ":path": "/grpc", ":method": "POST", "content-type": "application/grpc" },
  },
  {
    name: "that names a trace, a peer and its user",
    http1:
      "GET /named HTTP/1.1\r\nhost: b\r\nuser-agent: before\r\nx-request-id: 1\r\nx-forwarded-for: 1.2.3.4\r\nx-captured: a\r\n\r\n",
    http2: { ":path": "/named", "user-agent": "before", "x-forwarded-for": "1.2.3.4", "x-captured": "a" },
  },
  {
    name: "in chunks",
    http1: "POST /chunks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    http2: { ":path": "/chunks", ":method": "POST" },
  },
];

const compared = [
  ["method", "pathAndQuery", "protocol", "authority", "status", "flag", "details", "transportFailure"],
  ["receivedBytes", "sentBytes", "requestId", "forwardedFor", "userAgent", "routeName", "operation", "retries"],
  ["trace", "cluster", "downstreamPeer", "upstreamPeer", "isGrpc", "grpcStatus", "requestMessages"],
  ["responseMessages", "metadata", "trailers", "capturedRequest", "capturedResponse"],
].flat();

function factsOf(record: ExchangeRecord): Record<string, unknown> {
  return Object.fromEntries(compared.map((name) => [name, Reflect.get(record, name)]));
}

async function mixedHarness(records: ExchangeRecord[], backend: Http2Backend): Promise<Harness> {
  const filter: HttpFilter = {
    name: "policy",
    onRequest: (request) => {
      if (request.path === "/denied")
        return { status: 403, body: "no", headers: [["x-why", "1"]], flag: responseFlags.none, details: "denied" };
      if (request.path !== "/edited") return undefined;
      request.setHeader("x-edited", "1");
      request.metadata.set("policy", { edited: true });
      request.addResponseHeader("x-added", "1");
      return undefined;
    },
  };
  const harness = await Harness.start(
    {
      filters: [filter],
      filtersIdle: false,
      requestCapture: ["x-captured"],
      responseCapture: ["x-answer"],
      generateRequestId: false,
    },
    1,
    { observe: (record) => void records.push(record) },
  );
  harness.cluster("a", [backend.port], { upstreamProtocol: "http2" });
  harness.cluster("empty", []);
  const at = (path: string) => ({
    name: path,
    matches: (request: { readonly path: string }) => request.path === path,
  });
  const retry = retryPolicy({ retries: 2, on: { serverError: true } });
  const add = [
    { name: "x-mutated", value: () => "1", action: "append-if-exists-or-add", keepEmptyValue: false },
  ] as const;
  harness.table = tableOf(
    route(forwardTo("a", { retry }), { ...at("/retried"), responseMutations: [{ add, remove: [] }] }),
    route(forwardTo("empty"), at("/empty")),
    route(forwardTo("a", { timeoutMs: 30 }), at("/late")),
    ...["/denied", "/edited", "/grpc", "/named", "/chunks"].map((path) => route(forwardTo("a"), at(path))),
    route(forwardTo("a", { includeAttemptCount: true }), at("/probe")),
  );
  return harness;
}

/** Answers by the path, and records the probes that it received. */
function startMixedBackend(probes: unknown[]): Promise<Http2Backend> {
  return Http2Backend.start((stream, headers) => {
    const path = headers[":path"];
    if (path === "/late") return;
    if (path === "/probe") probes.push({ ...headers });
    stream.resume();
    if (path === "/grpc") {
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "5" }));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.end(Buffer.alloc(5));
      return;
    }
    stream.respond({
      ":status": path === "/retried" ? 503 : 200,
      ...(path === "/named" ? { "x-answer": "1" } : {}),
      ...(path === "/probe" ? { "x-probe": "1" } : {}),
    });
    stream.end("ok");
  });
}

async function afterHttp1(client: RawClient, records: ExchangeRecord[], first: string | undefined): Promise<string> {
  const known = records.length;
  if (first !== undefined) {
    client.send(first);
    await until(() => records.length === known + 1);
  }
  client.send("GET /probe HTTP/1.1\r\nhost: probe\r\n\r\n");
  const all = await client.until(/x-probe: 1[^]*\r\n0\r\n\r\n$/);
  return all.slice(all.lastIndexOf("HTTP/1.1 ")).replace(/date: [^\r]+|x-envoy-upstream-service-time: \d+/g, "");
}

async function afterHttp2(session: ClientHttp2Session, first: Record<string, string> | undefined): Promise<void> {
  if (first !== undefined) await sendRequest(session, first, first[":method"] === "POST" ? Buffer.alloc(5) : undefined);
  await sendRequest(session, { ":path": "/probe", ":authority": "probe" });
}

test("a request has the same record, head and answer after any other request of its connection as on its own connection", async () => {
  const probes: unknown[] = [];
  const records: ExchangeRecord[] = [];
  await using backend = await startMixedBackend(probes);
  await using harness = await mixedHarness(records, backend);
  const outcomes: { name: string; record: Record<string, unknown>; probe: unknown; answer: string }[] = [];
  for (const first of [undefined, ...before]) {
    const client = harness.client();
    const answer = await afterHttp1(client, records, first?.http1);
    const record = records.at(-1);
    assert.ok(record !== undefined);
    outcomes.push({ name: first?.name ?? "alone", record: factsOf(record), probe: probes.at(-1), answer });
    client.socket.destroy();
  }
  const [alone, ...others] = outcomes;
  for (const other of others) assert.deepEqual({ ...other, name: "alone" }, alone, `after a request ${other.name}`);
  const http2: { name: string; record: Record<string, unknown>; probe: unknown }[] = [];
  for (const first of [undefined, ...before]) {
    const session = await connectTo(harness.port);
    await afterHttp2(session, first?.http2);
    await until(() => records.at(-1)?.pathAndQuery === "/probe");
    const record = records.at(-1);
    assert.ok(record !== undefined);
    http2.push({ name: first?.name ?? "alone", record: factsOf(record), probe: probes.at(-1) });
    session.close();
  }
  const [first, ...rest] = http2;
  for (const other of rest)
    assert.deepEqual({ ...other, name: "alone" }, first, `over HTTP/2, after a request ${other.name}`);
});
