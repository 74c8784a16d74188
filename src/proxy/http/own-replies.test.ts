import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { HeaderAddition, HeaderMutation } from "../routing/header-mutation.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { connectTo, sendRequest } from "../testing/http2-peers.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

const policy: HttpFilter = {
  name: "policy",
  onRequest: (request) => {
    if (request.path === "/broken") return Promise.reject(new Error("broken"));
    if (request.path !== "/denied") return undefined;
    request.addResponseHeader("x-own", "added");
    const headers = [
      ["content-type", "text/html"],
      ["x-own", "own"],
    ] as const;
    return { status: 403, body: "no", headers, flag: responseFlags.none, details: "denied" };
  },
};

function addition(name: string, action: HeaderAddition["action"]): HeaderAddition {
  return { name, value: () => "route", action, keepEmptyValue: false };
}

const routeAdditions: readonly HeaderAddition[] = [
  addition("x-route", "append-if-exists-or-add"),
  addition("x-asked", "add-if-absent"),
];

/** The head of the response on a route that allows one origin and leads to a cluster without endpoints. */
async function replyTo(
  path: string,
  headers: Record<string, string>,
  { method = "GET", add = routeAdditions } = {},
): Promise<IncomingHttpHeaders> {
  await using harness = await Harness.start({ filters: [policy], filtersIdle: false });
  harness.cluster("a", [], { loadBalancing: "ring-hash" });
  const cors = {
    origins: [(origin: string) => origin === "https://a.test"],
    allowMethods: "GET",
    allowHeaders: "",
    exposeHeaders: "",
    maxAge: "",
    allowCredentials: false,
    forwardsOthers: true,
  };
  const action = forwardTo("a", {
    hashPolicies: [{ kind: "cookie", name: "session", path: "", ttlSeconds: 60, attributes: [], terminal: false }],
  });
  harness.table = tableOf(route(action, { responseMutations: [{ add, remove: [] }], cors }));
  return (await harness.get(path, { method, headers })).headers;
}

test("the proxy's own replies have the response headers of the route, and those that let a browser read them", async () => {
  const unavailable = await replyTo("/", { origin: "https://a.test", "x-asked": "1" });
  assert.equal(unavailable["x-route"], "route");
  assert.equal(unavailable["x-asked"], "route", "a header of the request is none of the response");
  assert.equal(unavailable["access-control-allow-origin"], "https://a.test");
  assert.equal(unavailable["set-cookie"], undefined, "no endpoint has the session");
  const stranger = await replyTo("/", { origin: "https://b.test" });
  assert.deepEqual([stranger["x-route"], stranger["access-control-allow-origin"]], ["route", undefined]);
  const denied = await replyTo("/denied", { origin: "https://a.test" });
  assert.deepEqual([denied["x-route"], denied["access-control-allow-origin"]], ["route", undefined]);
});

test("a browser gets one allowed origin, that of the CORS policy, whatever the route adds", async () => {
  const origin = "https://a.test";
  for (const action of ["append-if-exists-or-add", "overwrite-if-exists-or-add"] as const) {
    const add = [addition("access-control-allow-origin", action), addition("x-route", action)];
    const response = await replyTo("/", { origin }, { add });
    assert.deepEqual([response["access-control-allow-origin"], response["x-route"]], [origin, "route"], action);
    const asks = { origin, "access-control-request-method": "GET" };
    const preflight = await replyTo("/", asks, { method: "OPTIONS", add });
    assert.deepEqual([preflight["access-control-allow-origin"], preflight["x-route"]], [origin, undefined], action);
  }
});

test("the headers of a filter's reply replace the route's, and those that filters add stay", async () => {
  const add = [addition("content-type", "overwrite-if-exists-or-add"), addition("x-own", "append-if-exists-or-add")];
  const denied = await replyTo("/denied", {}, { add });
  assert.deepEqual([denied["content-type"], denied["x-own"]], ["text/html", "own, added"]);
});

test("a reply while filters still run has the response headers of the route", async () => {
  const broken = await replyTo("/broken", {});
  assert.equal(broken["x-route"], "route");
});

test("a reply for a cluster that has reached a limit says so, unless the route removes the header", async () => {
  const reply = async (hidesEnvoyHeaders: boolean, remove: string[] = []): Promise<IncomingHttpHeaders> => {
    await using harness = await Harness.start({ hidesEnvoyHeaders });
    harness.cluster("a", [1], { maxRequests: 0 });
    harness.table = tableOf(route(forwardTo("a"), { responseMutations: [{ add: [], remove }] }));
    const { status, headers } = await harness.get("/");
    assert.deepEqual([status, harness.records[0]?.flag], [503, "UO"]);
    return headers;
  };
  assert.equal((await reply(false))["x-envoy-overloaded"], "true");
  assert.equal((await reply(false, ["x-envoy-overloaded"]))["x-envoy-overloaded"], undefined);
  assert.equal((await reply(true))["x-envoy-overloaded"], undefined);
  assert.equal((await replyTo("/", {}))["x-envoy-overloaded"], undefined, "a cluster without endpoints");
});

test("the header server comes from the proxy or from others, as configured, over either version", async () => {
  const names = async (serverHeader: HttpConnectionConfig["serverHeader"], mutation: HeaderMutation) => {
    await using harness = await Harness.start({ serverHeader });
    const { port } = await harness.backend((_, response) => response.setHeader("server", "backend").end());
    harness.cluster("a", [port]);
    harness.cluster("none", []);
    harness.table = tableOf(
      route(forwardTo("none"), { matches: ({ path }) => path === "/own", responseMutations: [mutation] }),
      route(forwardTo("a"), { responseMutations: [mutation] }),
    );
    const session = await connectTo(harness.port);
    const found: unknown[] = [];
    for (const path of ["/", "/own"]) {
      const client = harness.client();
      client.send(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
      await client.closed;
      const fields = [...client.received.matchAll(/^server: (.*)\r$/gm)].map(([, value]) => value).join();
      const { headers } = await sendRequest(session, { ":path": path });
      assert.equal(fields, headers["server"] ?? "");
      found.push(fields);
    }
    session.close();
    return found;
  };
  const nothing = { add: [], remove: [] };
  const removed = { add: [], remove: ["server"] };
  const set = { add: [addition("server", "overwrite-if-exists-or-add")], remove: [] };
  assert.deepEqual(await names("overwrite", nothing), ["istio-envoy", "istio-envoy"]);
  assert.deepEqual(await names("overwrite", removed), ["istio-envoy", "istio-envoy"]);
  assert.deepEqual(await names("overwrite", set), ["istio-envoy", "istio-envoy"]);
  assert.deepEqual(await names("append-if-absent", nothing), ["backend", "istio-envoy"]);
  assert.deepEqual(await names("append-if-absent", removed), ["istio-envoy", "istio-envoy"]);
  assert.deepEqual(await names("append-if-absent", set), ["route", "route"]);
  assert.deepEqual(await names("pass-through", nothing), ["backend", ""]);
  assert.deepEqual(await names("pass-through", removed), ["", ""]);
  assert.deepEqual(await names("pass-through", set), ["route", "route"]);
});

test("a route can remove any header of its upstream's response", async () => {
  await using harness = await Harness.start();
  const kept = ["x-request-id", "x-envoy-ratelimited", "x-other"];
  const { port } = await harness.backend((_, response) => {
    for (const name of kept) response.setHeader(name, "1");
    response.end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a"), { responseMutations: [{ add: [], remove: kept }] }));
  const { headers } = await harness.get("/");
  assert.deepEqual(
    kept.filter((name) => name in headers),
    [],
  );
});
