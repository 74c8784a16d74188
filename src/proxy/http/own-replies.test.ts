import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { HeaderAddition } from "../routing/header-mutation.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { responseFlags } from "../terms/response-flags.ts";

const policy: HttpFilter = {
  name: "policy",
  onRequest: ({ path }) =>
    path === "/denied"
      ? { status: 403, body: "", headers: [], flag: responseFlags.none, details: "denied" }
      : undefined,
};

function addition(name: string, action: HeaderAddition["action"]): HeaderAddition {
  return { name, value: () => "route", action, keepEmptyValue: false };
}

/** The head of the response on a route to a cluster without endpoints, which allows one origin. */
async function replyTo(path: string, headers: Record<string, string>): Promise<IncomingHttpHeaders> {
  await using harness = await Harness.start({ filters: [policy], filtersIdle: false });
  harness.cluster("a", [], { loadBalancing: "ring-hash" });
  const add = [addition("x-route", "append-if-exists-or-add"), addition("x-asked", "add-if-absent")];
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
  return (await harness.get(path, { headers })).headers;
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
