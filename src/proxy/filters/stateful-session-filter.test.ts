import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { HandClock } from "../../base/testing/index.ts";
import { envoyRegistry, StatefulSessionPerRouteSchema, StatefulSessionSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileFilterOverrides, noOverrides } from "../config/filters/filter-overrides-config.ts";
import { compileStatefulSession } from "../config/filters/stateful-session-config.ts";
import { endpointAt, forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { standaloneServices } from "./filter-services.ts";
import { SwitchedFilter } from "./route-switch.ts";
import { StatefulSessionFilter } from "./stateful-session-filter.ts";

const name = "envoy.filters.http.stateful_session";
const type = "type.googleapis.com/envoy.extensions.http.stateful_session";
const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");

const cookie = (fields: JsonObject): JsonObject => ({
  sessionState: {
    name: "cookie",
    typedConfig: { "@type": `${type}.cookie.v3.CookieBasedSessionState`, cookie: fields },
  },
});
const header = (field: string): JsonObject => ({
  sessionState: {
    name: "header",
    typedConfig: { "@type": `${type}.header.v3.HeaderBasedSessionState`, name: field },
  },
});

async function proxyWith(config: JsonObject, override?: JsonValue) {
  const clock = new HandClock();
  const notes = new ConfigNotes((note) => assert.fail(note), { ...standaloneServices(), clock });
  const settings = compileStatefulSession(
    fromJson(StatefulSessionSchema, config, { registry: envoyRegistry() }),
    "test",
    notes,
  );
  const filterConfigs =
    override === undefined
      ? new Map<string, object>()
      : compileFilterOverrides({ [name]: anyOf(override) }, noOverrides, "test", notes).configs;
  const harness = await Harness.start({
    filters: [new SwitchedFilter(new StatefulSessionFilter(name, settings), true)],
    filtersIdle: false,
  });
  const ports: number[] = [];
  for (const _ of [1, 2, 3]) {
    const backend = await harness.backend((request, response) => {
      response.statusCode = request.url === "/fails" ? 503 : 200;
      response.end(String(request.socket.localPort));
    });
    ports.push(backend.port);
  }
  harness.cluster("app", ports);
  harness.table = tableOf(
    route(forwardTo("app", { retry: retryPolicy({ on: { serverError: true } }) }), { filterConfigs }),
  );
  return { harness, ports, clock };
}

const anyOf = (override: JsonValue) =>
  fromJson(
    AnySchema,
    { "@type": `type.googleapis.com/${StatefulSessionPerRouteSchema.typeName}`, ...(override as JsonObject) },
    { registry: envoyRegistry() },
  );

test("a header keeps a client at its endpoint, and only a client that reached another endpoint gets the header anew", async () => {
  const { harness, ports } = await proxyWith(header("X-Session"));
  await using _ = harness;
  const first = await harness.get("/");
  const endpoint = `127.0.0.1:${first.body}`;
  assert.equal(first.headers["x-session"], base64(endpoint));
  for (let round = 0; round < 6; round += 1) {
    const next = await harness.get("/", { headers: { "x-session": base64(endpoint) } });
    assert.deepEqual([next.body, next.headers["x-session"]], [first.body, undefined]);
  }
  for (const given of [base64("127.0.0.1:1"), "!!!", base64("x")]) {
    const next = await harness.get("/", { headers: { "x-session": given } });
    assert.ok(ports.includes(Number(next.body)));
    assert.equal(next.headers["x-session"], base64(`127.0.0.1:${next.body}`), given);
  }
});

test("a cookie keeps a client at its endpoint below its path, in Envoy's form and in the older one", async () => {
  const { harness, ports } = await proxyWith(cookie({ name: "s", path: "/a" }));
  await using _ = harness;
  const [port = 0] = ports;
  const endpoint = `127.0.0.1:${port}`;
  const value = base64(`\n${String.fromCharCode(endpoint.length)}${endpoint}`);
  for (const sent of [`s=${value}`, `x=1; s="${value}"; s=${base64("127.0.0.1:1")}`, `s=${base64(endpoint)}`])
    for (const path of ["/a", "/a/b", "/a?x"]) {
      const next = await harness.get(path, { headers: { cookie: sent } });
      assert.deepEqual([next.body, next.headers["set-cookie"]], [String(port), undefined], `${sent} ${path}`);
    }
  const other = await harness.get("/ab");
  assert.equal(other.headers["set-cookie"], undefined);
  const fresh = await harness.get("/a/b");
  const session = base64(`\n${String.fromCharCode(`127.0.0.1:${fresh.body}`.length)}127.0.0.1:${fresh.body}`);
  assert.deepEqual(fresh.headers["set-cookie"], [`s="${session}"; Path=/a; HttpOnly`]);
});

test("a cookie with a lifetime says when the session ends, and an ended session begins anew", async () => {
  const { harness, ports, clock } = await proxyWith(
    cookie({ name: "s", path: "/", ttl: "60s", attributes: [{ name: "SameSite", value: "Lax" }, { name: "Secure" }] }),
  );
  await using _ = harness;
  const first = await harness.get("/");
  const [field = ""] = first.headers["set-cookie"] ?? [];
  assert.match(field, /^s="[A-Za-z\d+/]+=*"; Max-Age=60; Path=\/; SameSite=Lax; Secure; HttpOnly$/);
  const sent = { headers: { cookie: field.split(";")[0] ?? "" } };
  for (let round = 0; round < ports.length; round += 1) assert.equal((await harness.get("/", sent)).body, first.body);
  clock.pass(61_000);
  assert.equal((await harness.get("/", sent)).headers["set-cookie"]?.length, 1);
});

test("a strict session gets no other endpoint", async () => {
  const { harness, ports } = await proxyWith({ ...header("x-session"), strict: true });
  await using _ = harness;
  const [port = 0] = ports;
  const gone = await harness.get("/", { headers: { "x-session": base64("127.0.0.1:1") } });
  assert.deepEqual([gone.status, gone.body, gone.headers["x-session"]], [503, "no healthy upstream", undefined]);
  const found = await harness.get("/", { headers: { "x-session": base64(`127.0.0.1:${port}`) } });
  assert.deepEqual([found.status, found.body], [200, String(port)]);
  assert.equal((await harness.get("/")).status, 200);
});

test("a strict session's status without its endpoint is the configured one, and 503 if the endpoint cannot be used", async () => {
  const { harness, ports } = await proxyWith(
    {},
    { statefulSession: { ...header("x-session"), strict: true, statusOnStrictDestinationNotFound: 410 } },
  );
  await using _ = harness;
  assert.equal((await harness.get("/", { headers: { "x-session": base64("127.0.0.1:1") } })).status, 410);
  const [port = 0, other = 0] = ports;
  harness
    .cluster("app", [])
    .setEndpoints([endpointAt(port, { healthy: false, status: "draining" }), endpointAt(other)]);
  assert.equal((await harness.get("/", { headers: { "x-session": base64(`127.0.0.1:${port}`) } })).status, 503);
});

test("a retry leaves the session's endpoint, and the client gets the header of the endpoint that answered", async () => {
  const { harness, ports } = await proxyWith(header("x-session"));
  await using _ = harness;
  const [port = 0] = ports;
  const answer = await harness.get("/fails", { headers: { "x-session": base64(`127.0.0.1:${port}`) } });
  assert.equal(answer.status, 503);
  assert.notEqual(answer.body, String(port));
  assert.equal(answer.headers["x-session"], base64(`127.0.0.1:${answer.body}`));
});

test("a draining endpoint keeps its sessions and gets no others, if the cluster allows that", async () => {
  const { harness, ports } = await proxyWith(header("x-session"));
  await using _ = harness;
  const [port = 0, other = 0] = ports;
  const endpoints = [endpointAt(port, { healthy: false, status: "draining" }), endpointAt(other)];
  const sent = { headers: { "x-session": base64(`127.0.0.1:${port}`) } };
  harness.cluster("app", []).setEndpoints(endpoints);
  assert.equal((await harness.get("/", sent)).body, String(other));
  harness
    .cluster("app", [], { preferableStatuses: new Set(["healthy", "unknown", "draining"]) })
    .setEndpoints(endpoints);
  assert.equal((await harness.get("/", sent)).body, String(port));
  for (let round = 0; round < 4; round += 1) assert.equal((await harness.get("/")).body, String(other));
});

test("a filter without a session state works only where a route states one, and a route switches it off", async () => {
  const sees = async (config: JsonObject, override?: JsonValue): Promise<boolean> => {
    const { harness } = await proxyWith(config, override);
    await using _ = harness;
    return (await harness.get("/")).headers["x-session"] !== undefined;
  };
  assert.equal(await sees({}), false);
  assert.equal(await sees({}, { statefulSession: header("x-session") }), true);
  assert.equal(await sees(header("x-session")), true);
  assert.equal(await sees(header("x-session"), { statefulSession: {} }), false);
  assert.equal(await sees(header("x-session"), { disabled: true }), false);
});

test("an unreadable session state is refused with its field", () => {
  const notes = new ConfigNotes((note) => assert.fail(note));
  const compile = (config: JsonObject) => () =>
    compileStatefulSession(fromJson(StatefulSessionSchema, config, { registry: envoyRegistry() }), "test", notes);
  assert.throws(compile(cookie({ path: "/" })), /test: sessionState: cookie\.name must be set/);
  assert.throws(
    compile({ sessionState: { name: "mine" } }),
    /test: sessionState: the session state mine is not supported/,
  );
});
