import assert from "node:assert/strict";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { listenTcp, type ByteStream } from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "../filters/http-filter.ts";
import { mutualTls } from "../testing/filter-request.ts";
import { fetchOnce, forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { sendRequest, connectTo, Http2Backend } from "../testing/http2-peers.ts";
import { RouteTable } from "../routing/route-table.ts";
import { decodePeerMetadata, encodePeerMetadata } from "../peers/peer-metadata.ts";
import { responseFlags } from "../terms/response-flags.ts";

type OnRequest = HttpFilter["onRequest"];

function filter(onRequest: OnRequest): HttpFilter {
  return { name: "test", onRequest };
}

function withFilters(...filters: HttpFilter[]): Promise<Harness> {
  return Harness.start({ filters, filtersIdle: false });
}

const denied: LocalReply = {
  status: 403,
  body: "RBAC: access denied",
  headers: [["x-why", "policy"]],
  flag: responseFlags.none,
  details: "rbac_access_denied",
};

const echo = (request: IncomingMessage, response: ServerResponse): void => {
  let length = 0;
  request.on("data", (chunk: Buffer) => (length += chunk.length));
  request.on("end", () => response.end(JSON.stringify({ url: request.url, headers: request.headers, length })));
};

test("changes that filters make to a request are seen by routes, later filters and the upstream", async () => {
  const paths: (string | undefined)[] = [];
  await using harness = await withFilters(
    filter((request) => {
      request.setHeader("x-user", "alice");
      request.setHeader("x-route", "b");
      request.removeHeader("authorization");
      request.addResponseHeader("x-from-filter", "yes");
      request.metadata.set("test", { user: "alice" });
      return undefined;
    }),
    filter((request) => {
      paths.push(
        request.header("x-user"),
        request.header("authorization"),
        [...request.headers()].find(([name]) => name === "x-route")?.[1],
      );
      request.clearRoute();
      paths.push(request.route?.name);
      return undefined;
    }),
  );
  const { port } = await harness.backend(echo);
  harness.cluster("a", [port]);
  harness.table = tableOf(
    route(forwardTo("a"), { name: "b", matches: (request) => request.head.get("x-route") === "b" }),
    route(forwardTo("a"), { name: "a" }),
  );
  const answer = await harness.get("/x", {
    method: "POST",
    body: "hello",
    headers: { authorization: "secret", "x-user": "mallory" },
  });
  const upstream = JSON.parse(answer.body) as { headers: Record<string, string>; length: number };
  assert.deepEqual(
    [upstream.headers["x-user"], upstream.headers["authorization"], upstream.length, answer.headers["x-from-filter"]],
    ["alice", undefined, 5, "yes"],
  );
  assert.deepEqual(paths, ["alice", undefined, "b", "b"]);
  assert.deepEqual(harness.finished[0]?.metadata?.get("test"), { user: "alice" });
});

test("a filter answers instead of the upstream, at once or later, over either version", async () => {
  for (const verdict of [denied, Promise.resolve(denied)]) {
    await using harness = await withFilters(filter(() => verdict));
    const { port } = await harness.backend(echo);
    harness.cluster("a", [port]);
    harness.table = tableOf(route(forwardTo("a")));
    const answer = await harness.get("/", { method: "POST", body: "x".repeat(100_000) });
    assert.deepEqual([answer.status, answer.body, answer.headers["x-why"]], [403, "RBAC: access denied", "policy"]);
    const session = await connectTo(harness.port);
    const grpc = await sendRequest(
      session,
      { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" },
      "12345",
    );
    assert.deepEqual(
      [grpc.headers["grpc-status"], grpc.headers["grpc-message"], grpc.headers["x-why"]],
      ["7", "RBAC: access denied", "policy"],
    );
    assert.equal(harness.records[0]?.details, "rbac_access_denied");
    session.close();
  }
});

test("while a filter waits, the request waits whole: head, body and trailers", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const entered: string[] = [];
  await using harness = await withFilters(
    filter((request) => {
      entered.push(request.path);
      return promise;
    }),
    filter((request) => {
      request.setHeader("x-later", request.header("x-id") ?? "none");
      return undefined;
    }),
  );
  const { port } = await harness.backend(echo);
  await using backend = await Http2Backend.start((stream, headers) => {
    let length = 0;
    let trailer: unknown;
    stream.on("trailers", (trailers) => (trailer = trailers["x-sum"]));
    stream.on("data", (chunk: Buffer) => (length += chunk.length));
    stream.on("end", () => {
      stream.respond({ ":status": 200 });
      stream.end(JSON.stringify({ later: headers["x-later"], length, trailer }));
    });
  });
  harness.cluster("one", [port]);
  harness.cluster("two", [backend.port], { upstreamProtocol: "http2" });
  harness.table = tableOf(
    route(forwardTo("two"), { matches: (request) => request.path === "/two" }),
    route(forwardTo("one")),
  );
  const plain = [1, 2, 3].map((id) =>
    harness.get(`/${id}`, { method: "POST", headers: { "x-id": String(id) }, body: "y".repeat(300_000) }),
  );
  const session = await connectTo(harness.port);
  const two = sendRequest(session, { ":method": "POST", ":path": "/two", "x-id": "two" }, "hello", { "x-sum": "5" });
  await until(() => entered.length === 4);
  resolve(undefined);
  for (const [index, answer] of (await Promise.all(plain)).entries()) {
    const upstreamRequest = JSON.parse(answer.body) as { url: string; headers: Record<string, string>; length: number };
    assert.deepEqual(
      [upstreamRequest.url, upstreamRequest.headers["x-later"], upstreamRequest.length],
      [`/${index + 1}`, String(index + 1), 300_000],
    );
  }
  assert.deepEqual(JSON.parse((await two).body.toString()), { later: "two", length: 5, trailer: "5" });
  session.close();
});

test("a failing filter causes a 500, and a filter is notified when its client has gone", async () => {
  for (const onRequest of [
    () => {
      throw new Error("sync");
    },
    () => Promise.reject(new Error("async")),
  ]) {
    const troubles: string[] = [];
    await using harness = await Harness.start({ filters: [filter(onRequest)], filtersIdle: false }, 1, {
      onTrouble: (message) => troubles.push(message),
    });
    assert.equal((await harness.get("/")).status, 500);
    assert.deepEqual(troubles, ["a filter failed"]);
  }
  const aborted = Promise.withResolvers<string>();
  const entered = Promise.withResolvers<undefined>();
  const waits = (_request: FilterRequest, signal: () => AbortSignal): Promise<undefined> => {
    entered.resolve(undefined);
    return new Promise((resolve) =>
      signal().addEventListener("abort", () => (aborted.resolve("aborted"), resolve(undefined))),
    );
  };
  await using harness = await withFilters(filter(waits));
  const request = httpRequest({ port: harness.port, host: "127.0.0.1" });
  request.on("error", () => undefined);
  request.end();
  await entered.promise;
  request.destroy();
  assert.equal(await aborted.promise, "aborted");
  assert.deepEqual(
    harness.records.map((record) => record.flag),
    ["DC"],
  );
});

/** A listener whose connections look as if a filter chain had ended their TLS. */
async function withInfo(
  harness: Harness,
  more: Partial<ConnectionInfo>,
): Promise<Disposable & { readonly port: number }> {
  const accept = (stream: ByteStream): void =>
    harness.listener.accept(stream, {
      local: stream.local,
      remote: stream.remote,
      tls: undefined,
      peer: undefined,
      ...more,
    });
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, accept);
  return { port: listener.address.port, [Symbol.dispose]: () => listener.close() };
}

test("x-forwarded-client-cert is forwarded, appended to, set or removed according to configuration and connection", async () => {
  const tls = mutualTls("spiffe://cluster.local/ns/a/sa/client", {
    peerCertificateHash: () => "ab12",
    peerSubject: () => "CN=a",
    peerDnsNames: () => ["d.test"],
    serverName: "outbound_.80_._.a",
  });
  const element =
    'By=spiffe://cluster.local/ns/a/sa/server;Hash=ab12;Subject="CN=a";URI=spiffe://cluster.local/ns/a/sa/client;DNS=d.test';
  const cases = [
    ["sanitize", tls, undefined],
    ["forward", tls, "given"],
    ["append", tls, `given,${element}`],
    ["set", tls, element],
    ["always-forward", undefined, "given"],
    ["forward", undefined, undefined],
    ["append", undefined, undefined],
    ["set", { ...tls, verified: false }, undefined],
  ] as const;
  for (const [clientCertificate, ended, expected] of cases) {
    await using harness = await Harness.start({
      clientCertificate,
      clientCertificateFields: ["Subject", "URI", "DNS"],
      useRemoteAddress: false,
    });
    harness.cluster("a", [(await harness.backend(echo)).port]);
    harness.table = tableOf(route(forwardTo("a")));
    using listener = await withInfo(harness, { tls: ended });
    const answer = await fetchOnce(listener.port, "/", { headers: { "x-forwarded-client-cert": "given" } });
    const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> };
    assert.equal(headers["x-forwarded-client-cert"], expected, `${clientCertificate}, ${ended?.verified ?? "plain"}`);
    assert.equal(headers["x-forwarded-proto"], ended === undefined ? "http" : "https");
    assert.equal(harness.finished[0]?.requestedServerName, ended?.serverName ?? "");
  }
});

test("x-forwarded-proto counts only behind a trusted proxy, for redirects to TLS and for the upstream", async () => {
  for (const [trustedHops, given, status, expected] of [
    [0, "https", 301, ""],
    [1, "https", 200, "https"],
    [1, "http", 301, ""],
    [1, undefined, 301, ""],
  ] as const) {
    await using harness = await Harness.start({ useRemoteAddress: true, trustedHops });
    const app = await harness.backend((request, response) => response.end(request.headers["x-forwarded-proto"]));
    harness.cluster("a", [app.port]);
    const routes = [route(forwardTo("a"))];
    harness.table = new RouteTable({
      name: "test",
      virtualHosts: [{ name: "any", domains: ["*"], routes, requireTls: "all" }],
    });
    const headers: Record<string, string> = given === undefined ? {} : { "x-forwarded-proto": given };
    const answer = await harness.get("/", { headers });
    assert.deepEqual([answer.status, answer.body], [status, expected], `${trustedHops} hops, ${given ?? "none"}`);
  }
});

test("ALPN or the first bytes choose the codec, however they are split", async () => {
  await using harness = await Harness.start();
  harness.cluster("a", [(await harness.backend((request, response) => response.end(request.httpVersion))).port]);
  harness.table = tableOf(route(forwardTo("a")));
  const tls = mutualTls("", { alpnProtocol: "h2" });
  using agreed = await withInfo(harness, { tls });
  const session = await connectTo(agreed.port);
  assert.equal((await sendRequest(session, { ":path": "/", ":scheme": "https" })).body.toString(), "1.1");
  session.close();
  const notHttp2 = harness.client();
  for (const byte of "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n") {
    notHttp2.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await notHttp2.until(/^HTTP\/1.1 200 OK/);
  await assert.rejects(fetchOnce(agreed.port, "/"));
});

const client = {
  workload: "client",
  namespace: "a",
  canonicalName: "client",
  canonicalRevision: "v2",
  cluster: "Kubernetes",
};

test("peers exchange x-envoy-peer-metadata, which goes no further", async () => {
  const own = {
    id: "sidecar~10.0.0.1~x.y~z",
    value: encodePeerMetadata({ ...client, workload: "own", canonicalName: "own" }, "own-1"),
  };
  const peerMetadata = {
    readFromClient: true,
    writeToClient: true,
    readFromUpstream: true,
    writeToUpstream: true,
    inMeshOnly: false,
    labelNames: [],
  };
  await using harness = await Harness.start({ peerMetadata, useRemoteAddress: false }, 1, { ownMetadata: () => own });
  let upstream: Record<string, unknown> = {};
  const { port } = await harness.backend((request, response) => {
    upstream = request.headers;
    response.setHeader("x-envoy-peer-metadata", encodePeerMetadata({ ...client, workload: "server" }));
    response.setHeader("x-envoy-peer-metadata-id", "server-id");
    response.end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const answer = await harness.get("/", {
    headers: { "x-envoy-peer-metadata": encodePeerMetadata(client), "x-envoy-peer-metadata-id": "client-id" },
  });
  assert.deepEqual([upstream["x-envoy-peer-metadata-id"], upstream["x-envoy-peer-metadata"]], [own.id, own.value]);
  assert.deepEqual(
    [answer.headers["x-envoy-peer-metadata-id"], answer.headers["x-envoy-peer-metadata"]],
    [own.id, own.value],
  );
  assert.deepEqual(
    [harness.finished[0]?.downstreamPeer, harness.finished[0]?.upstreamPeer?.workload],
    [client, "server"],
  );
  const silent = await harness.get("/");
  assert.equal(silent.headers["x-envoy-peer-metadata"], undefined);
  assert.deepEqual(decodePeerMetadata(encodePeerMetadata(client)), client);
  for (const bad of ["", "!!", "AAAA", "x".repeat(20_000)])
    assert.equal(decodePeerMetadata(bad)?.workload ?? "unknown", "unknown");
});

test("an upstream outside the mesh gets no peer metadata if only mesh members may have it", async () => {
  const own = { id: "own-id", value: encodePeerMetadata(client) };
  const getsMetadata = async (peerMetadata: "tell" | "external" | "never", inMeshOnly: boolean): Promise<boolean> => {
    await using harness = await Harness.start(
      {
        peerMetadata: {
          readFromClient: false,
          writeToClient: false,
          readFromUpstream: true,
          writeToUpstream: true,
          inMeshOnly,
          labelNames: [],
        },
      },
      1,
      { ownMetadata: () => own },
    );
    const { port } = await harness.backend((request, response) =>
      response.end(String(request.headers["x-envoy-peer-metadata-id"] === own.id)),
    );
    harness.cluster("a", [port], { peerMetadata });
    harness.table = tableOf(route(forwardTo("a")));
    return (await harness.get("/")).body === "true";
  };
  assert.deepEqual(
    [
      await getsMetadata("tell", true),
      await getsMetadata("external", true),
      await getsMetadata("external", false),
      await getsMetadata("never", false),
    ],
    [true, false, true, false],
  );
});

test("rules change local answers, and an exchange that lasts too long is ended", async () => {
  await using harness = await Harness.start({
    maxStreamDurationMs: 40,
    localReplies: [
      {
        matches: ({ status }) => status === 404,
        status: 451,
        body: ({ status, body }) => `{"was":${status},"${body}":1}`,
        contentType: "application/json",
        headers: undefined,
      },
    ],
  });
  const replaced = await harness.get("/");
  assert.deepEqual(
    [replaced.status, replaced.headers["content-type"], replaced.body],
    [451, "application/json", '{"was":451,"":1}'],
  );
  harness.cluster("a", [(await harness.backend(() => undefined)).port]);
  harness.table = tableOf(route(forwardTo("a")));
  const late = await harness.get("/");
  assert.deepEqual([late.status, late.body, harness.records.at(-1)?.flag], [408, "downstream duration timeout", "DT"]);
});
