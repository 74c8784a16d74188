import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { HeaderAddition } from "../routing/header-mutation.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { responseFlags } from "../terms/response-flags.ts";

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
