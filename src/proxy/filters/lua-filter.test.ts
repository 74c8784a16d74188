import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { createLogger, systemClock } from "../../base/index.ts";
import { envoyRegistry, HttpConnectionManagerSchema, LuaPerRouteSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileHttpFilters } from "../config/filters/http-filter-config.ts";
import { compileLuaPerRoute } from "../config/filters/lua-config.ts";
import { LuaScripts } from "./lua/index.ts";
import { forwardTo, Harness, route, tableOf, type RequestOptions } from "../testing/harness.ts";
import { clusterCaller } from "../upstream/cluster-call.ts";
import { standaloneServices } from "./filter-services.ts";

const name = "envoy.filters.http.lua";

interface Lab extends AsyncDisposable {
  readonly harness: Harness;
  readonly lines: string[];
  readonly errors: () => number;
  readonly notes: ConfigNotes;
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const describeRequest: Handler = (request, response, body) => {
  response.setHeader("x-got", `${request.method} ${request.url} ${String(request.headers["x-lua"])}`);
  response.end(`app got ${body}.`);
};

async function labOf(
  sources: readonly (string | JsonObject)[],
  handler: Handler = describeRequest,
  more: JsonObject = {},
): Promise<Lab> {
  const lines: string[] = [];
  const clusters: { current?: Harness } = {};
  const callCluster = clusterCaller((cluster) => clusters.current?.clusters.get(cluster));
  const log = createLogger({
    scope: "lua",
    level: "trace",
    write: (line) => lines.push(line.split("\t").slice(1).join(" ")),
  });
  const services = {
    ...standaloneServices(),
    callCluster,
    scripts: new LuaScripts({ clock: systemClock, callCluster, log }),
  };
  const notes = new ConfigNotes(() => undefined, services);
  const httpFilters = sources.map((source, index) => ({
    name: index === 0 ? name : `${name}.${index}`,
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
      ...(typeof source === "string" ? { defaultSourceCode: { inlineString: source } } : source),
    },
    ...more,
  }));
  const manager = fromJson(HttpConnectionManagerSchema, { httpFilters }, { registry: envoyRegistry() });
  const { filters } = compileHttpFilters(manager.httpFilters, "http.test.", "listener a", notes);
  const harness = await Harness.start({ filters, filtersIdle: false, http1Trailers: true });
  clusters.current = harness;
  const app = await harness.backend((request, response) => {
    let body = "";
    request.setEncoding("latin1");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => handler(request, response, body));
  });
  harness.cluster("app", [app.port]);
  harness.table = tableOf(
    route(forwardTo("app"), { name: "main", metadata: { [name]: { plan: "gold", list: [1, 2] } } }),
  );
  return {
    harness,
    lines,
    notes,
    errors: () => services.statistics.counter("http.test.lua.errors").value,
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}

async function through(
  source: string,
  path = "/a?b=c",
  options: RequestOptions = {},
  handler: Handler = describeRequest,
) {
  await using lab = await labOf([source], handler);
  const answer = await lab.harness.get(path, options);
  return { ...answer, lines: lab.lines, errors: lab.errors(), records: lab.harness.records };
}

const onRequest = (code: string): string => `function envoy_on_request(h)\n${code}\nend`;
const onResponse = (code: string): string => `function envoy_on_response(h)\n${code}\nend`;

test("a script reads and changes the headers of a request", async () => {
  const answer = await through(
    onRequest(`
      local headers = h:headers()
      headers:add("x-lua", headers:get(":method") .. headers:get(":path") .. headers:get(":authority"):gsub(":%d+", ""))
      headers:add("x-lua", 5)
      headers:add("x-lua", headers:getNumValues("x-lua") .. headers:getAtIndex("x-lua", 1))
      headers:remove("x-gone")
      headers:replace(":path", "/changed")
    `),
    "/a?b=c",
    { headers: { "x-gone": "1", host: "a.test:80" } },
  );
  assert.equal(answer.headers["x-got"], "GET /changed GET/a?b=ca.test, 5, 25");
  assert.equal(answer.errors, 0, answer.lines.join());
});

test("a script reads a body that arrives in pieces, and replaces it", async () => {
  await using lab = await labOf([
    onRequest(`
      local body = h:body()
      h:headers():add("x-lua", body:length() .. body:getBytes(2, 3))
      body:setBytes("<" .. body:getBytes(0, body:length()) .. ">")
    `),
  ]);
  const client = lab.harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwith\r\n3");
  await new Promise((resolve) => setImmediate(resolve));
  client.send("\r\n us\r\n0\r\n\r\n");
  const text = await client.until(/app got .*\./);
  assert.match(text, /x-got: POST \/ 7th\r\n/);
  assert.match(text, /app got <with us>\.$/);
  const plain = await lab.harness.get("/", { method: "POST", body: "0123456789" });
  assert.equal(plain.body, "app got <0123456789>.");
  const long = await lab.harness.get("/", { method: "POST", body: "x".repeat(1_100_000) });
  assert.deepEqual([long.status, long.body], [413, "Payload Too Large"]);
});

test("a request without a body has none, unless the script always asks for one", async () => {
  const answer = await through(
    onRequest(`
      h:headers():add("x-lua", tostring(h:body()))
      h:body(true):setBytes("made")
    `),
  );
  assert.equal(answer.headers["x-got"], "GET /a?b=c nil");
  assert.equal(answer.body, "app got made.");
});

test("a script answers instead of the upstream, and its own response function sees the answer", async () => {
  const answer = await through(`${onRequest(`
    h:respond({[":status"] = "403", ["x-list"] = {"a", "b"}, ["content-type"] = "text/x"}, "nope")
    h:logInfo("never")`)}
    ${onResponse('h:headers():add("x-seen", h:headers():get(":status") .. h:headers():get("content-length"))')}`);
  assert.deepEqual(
    [answer.status, answer.body, answer.headers["x-list"], answer.headers["content-type"], answer.headers["x-seen"]],
    [403, "nope", "a, b", "text/x", "4034"],
  );
  assert.deepEqual(answer.records[0]?.details, "lua_response");
  assert.deepEqual(answer.lines, []);
});

test("a script changes the head and the body of a response with any upstream framing", async () => {
  const source = onResponse(`
    local headers = h:headers()
    headers:replace(":status", "201")
    headers:remove("x-envoy-upstream-service-time")
    headers:remove("x-secret")
    local body = h:body()
    headers:add("x-size", body and body:length() or "none")
    if body then body:setBytes(body:getBytes(0, body:length()):upper()) end
  `);
  const chunked: Handler = (_request, response) => {
    response.setHeader("x-secret", "1");
    response.write("first ");
    setImmediate(() => response.end("second"));
  };
  for (const handler of [describeRequest, chunked]) {
    const answer = await through(source, "/", {}, handler);
    assert.equal(answer.status, 201);
    assert.equal(answer.body, handler === describeRequest ? "APP GOT ." : "FIRST SECOND");
    assert.deepEqual(
      [answer.headers["x-size"], answer.headers["content-length"], answer.headers["x-secret"]],
      [String(answer.body.length), String(answer.body.length), undefined],
    );
    assert.equal(answer.headers["x-envoy-upstream-service-time"], undefined);
  }
  const head = await through(source, "/", { method: "HEAD" });
  assert.deepEqual([head.status, head.body, head.headers["x-size"]], [201, "", "none"]);
});

test("a script adds a body to a response without one, and the status 204 removes it", async () => {
  const empty: Handler = (_request, response) => void response.end();
  const given = await through(onResponse('h:body(true):setBytes("made")'), "/", {}, empty);
  assert.deepEqual([given.body, given.headers["content-length"]], ["made", "4"]);
  const taken = await through(onResponse('h:headers():replace(":status", "204")'));
  assert.deepEqual([taken.status, taken.body, taken.headers["content-length"]], [204, "", undefined]);
  const yielded = await through(onRequest('coroutine.yield("respond", 1)'));
  assert.deepEqual([yielded.status, yielded.errors], [200, 1]);
});

test("a response passes unbuffered if no script reads its body, and 500 replaces one too long to buffer", async () => {
  const long = "0123456789".repeat(300_000);
  const answer = await through(
    onResponse('h:headers():add("x-lua", "seen")'),
    "/",
    {},
    (_request, response) => void response.end(long),
  );
  assert.deepEqual([answer.body.length, answer.headers["x-lua"]], [long.length, "seen"]);
  const tooLong = await through(onResponse("h:body()"), "/", {}, (_request, response) => void response.end(long));
  assert.deepEqual([tooLong.status, tooLong.body], [500, "Internal Server Error"]);
});

test("several filters see requests in order and responses in reverse, including a local 404", async () => {
  const both = (mark: string): string =>
    `${onRequest(`h:headers():add("x-lua", "${mark}")`)} ${onResponse(`h:body() h:headers():add("x-order", "${mark}")`)}`;
  await using lab = await labOf([both("a"), both("b")]);
  const answer = await lab.harness.get("/");
  assert.equal(answer.headers["x-got"], "GET / a, b");
  assert.equal(answer.headers["x-order"], "b, a");
  lab.harness.table = tableOf();
  const missing = await lab.harness.get("/");
  assert.deepEqual([missing.status, missing.headers["x-order"]], [404, "b, a"]);
});

test("a script that fails is counted and logged with its line, and the request continues", async () => {
  const answer = await through(`${onRequest(`
    h:headers():add("x-lua", "before")
    local x = nil
    x.y = 1`)}
    ${onResponse('h:respond({[":status"] = "200"})')}`);
  assert.deepEqual([answer.status, answer.headers["x-got"], answer.errors], [200, "GET /a?b=c before", 2]);
  assert.match(
    answer.lines[0] ?? "",
    /^error lua script of the HTTP filter envoy\.filters\.http\.lua failed: script:5: attempt to index local 'x'/,
  );
  assert.match(answer.lines[1] ?? "", /respond not currently supported in the response path/);
});

test("a script that loops, or that fills its memory, ends with an error, and other requests continue meanwhile", async () => {
  const source = onRequest(`
    local path = h:headers():get(":path")
    if path == "/loop" then while true do end end
    if path == "/caught" then while true do pcall(function() while true do end end) end end
    if path == "/grow" then kept = {} for i = 1, 1e9 do kept[i] = (i .. "x"):rep(20000) end end
    if path == "/deep" then local function f() return f() + 1 end f() end
  `);
  await using lab = await labOf([source]);
  for (const path of ["/loop", "/caught", "/grow", "/deep", "/fine"])
    assert.equal((await lab.harness.get(path)).status, 200, path);
  assert.equal(lab.errors(), 4, lab.lines.join("\n"));
  assert.match(lab.lines.join("\n"), /longer than 250 ms without a pause/);
  assert.match(lab.lines.join("\n"), /not enough memory|longer than/);
  assert.match(lab.lines.join("\n"), /stack overflow/);
});

test("a script calls a cluster and waits with a timeout, or does not wait", async () => {
  const source = onRequest(`
    local headers, body = h:httpCall("side", {[":method"] = "POST", [":path"] = "/ask", [":authority"] = "side", ["x-a"] = {"1", "2"}}, "question", 5000)
    h:headers():add("x-lua", headers[":status"] .. headers["x-side"] .. body)
    headers, body = h:httpCall("side", {[":method"] = "GET", [":path"] = "/slow", [":authority"] = "side"}, nil, 30)
    h:headers():add("x-lua", headers[":status"] .. body)
    headers = h:httpCall("side", {[":method"] = "GET", [":path"] = "/list", [":authority"] = "side"}, nil, {timeout_ms = 5000, return_duplicate_headers = true})
    h:headers():add("x-lua", table.concat(headers["x-many"], "+"))
    h:httpCall("side", {[":method"] = "GET", [":path"] = "/later", [":authority"] = "side"}, nil, 5000, true)
    local ok, problem = pcall(function() return h:httpCall("none", {[":method"] = "GET", [":path"] = "/", [":authority"] = "x"}, nil, 10) end)
    h:headers():add("x-lua", problem:match("http call.*"))
  `);
  await using lab = await labOf([source]);
  const requests: string[] = [];
  const side = await lab.harness.backend((request, response) => {
    requests.push(`${request.method} ${request.url} ${String(request.headers["x-a"])}`);
    if (request.url === "/slow") return;
    response.setHeader("x-side", "yes");
    response.setHeader("x-many", ["a", "b"]);
    response.end("ok");
  });
  lab.harness.cluster("side", [side.port]);
  const answer = await lab.harness.get("/");
  assert.equal(
    answer.headers["x-got"],
    "GET / 200yesok, 503upstream failure, a+b, http call cluster invalid. Must be configured",
    lab.lines.join("\n"),
  );
  assert.deepEqual(requests.slice(0, 3), ["POST /ask 1, 2", "GET /slow undefined", "GET /list undefined"]);
});

test("a script calls a cluster on the response path", async () => {
  const source = onResponse(`
    local headers, body = h:httpCall("app", {[":method"] = "GET", [":path"] = "/again", [":authority"] = "app"}, nil, 5000)
    h:headers():add("x-lua", body)
  `);
  const answer = await through(source);
  assert.deepEqual([answer.headers["x-lua"], answer.body], ["app got .", "app got ."]);
});

test("a script reads stream info, metadata, the route and the connection", async () => {
  const answer = await through(
    onRequest(`
      local info = h:streamInfo()
      local metadata = h:metadata()
      local seen = {}
      for key in pairs(metadata) do seen[#seen + 1] = key end
      table.sort(seen)
      info:dynamicMetadata():set("envoy.filters.http.lua", "kept", {name = "value", list = {1, 2}})
      h:headers():add("x-lua", table.concat({
        info:protocol(), info:routeName(), info:downstreamDirectRemoteAddress():gsub(":%d+", ""), metadata:get("plan"),
        #metadata:get("list"), table.concat(seen, "+"), tostring(h:connection():ssl()), info:requestedServerName(),
        h:base64Escape("a\\0b"), tostring(h:timestamp() > 1e12), #h:timestampString(EnvoyTimestampResolution.MICROSECOND),
        info:dynamicMetadata():get("envoy.filters.http.lua").kept.list[2], bit.band(7, 12), tostring(io), tostring(os.execute),
        string.format("%s", nil), unpack({"u", "v"})
      }, " "))
    `),
  );
  assert.equal(
    answer.headers["x-got"],
    "GET /a?b=c HTTP/1.1 main 127.0.0.1 gold 2 list+plan nil  YQBi true 16 2 4 nil nil nil u v",
    answer.lines.join("\n"),
  );
});

test("globals persist across requests, and each stream has a coroutine of its own", async () => {
  const source = `count = 0
    ${onRequest(`
      count = count + 1
      local mine = count
      h:body()
      h:headers():add("x-lua", mine .. "of" .. count)`)}`;
  await using lab = await labOf([source]);
  const slow = lab.harness.client();
  slow.send("POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na");
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal((await lab.harness.get("/")).headers["x-got"], "GET / 2of2");
  slow.send("b");
  assert.match(await slow.until(/x-got.*\r\n/), /x-got: POST \/slow 1of2/);
});

test("bodyChunks returns the body of a message, followed by the trailers", async () => {
  const answer = await through(
    `${onRequest(`
      local size = 0
      for chunk in h:bodyChunks() do size = size + chunk:length() end
      h:headers():add("x-lua", size .. tostring(h:trailers()))`)}
     ${onResponse(`
      local last
      for chunk in h:bodyChunks() do chunk:setBytes("") last = chunk end
      last:setBytes("new")
      h:headers():add("x-trailer", h:trailers():get("x-end"))`)}`,
    "/",
    { method: "POST", body: "12345" },
    (request, response) => {
      response.writeHead(200, { trailer: "x-end", "x-got": String(request.headers["x-lua"]) });
      response.write("some");
      response.addTrailers({ "x-end": "late" });
      response.end("thing");
    },
  );
  assert.deepEqual(
    [answer.headers["x-got"], answer.headers["x-trailer"], answer.body],
    ["5nil", "late", "new"],
    answer.lines.join("\n"),
  );
});

test("a route has its own script, one of the filter's named scripts, or none", async () => {
  const scriptThatAdds = (value: string): string =>
    onRequest(`h:headers():add("x-lua", "${value}" .. (h:filterContext()["of"] or ""))`);
  await using lab = await labOf([
    {
      defaultSourceCode: { inlineString: scriptThatAdds("default") },
      sourceCodes: { other: { inlineString: scriptThatAdds("named") } },
      filterContext: { of: "filter" },
    },
  ]);
  const headerOf = async (override: JsonObject): Promise<string> => {
    const config = compileLuaPerRoute(fromJson(LuaPerRouteSchema, override), "route", lab.notes);
    lab.harness.table = tableOf(route(forwardTo("app"), { filterConfigs: new Map([[name, config]]) }));
    return String((await lab.harness.get("/")).headers["x-got"]);
  };
  assert.equal(await headerOf({ disabled: true }), "GET / undefined");
  assert.equal(await headerOf({ name: "other" }), "GET / namedfilter");
  assert.equal(await headerOf({ name: "missing" }), "GET / undefined");
  assert.equal(
    await headerOf({ sourceCode: { inlineString: scriptThatAdds("own") }, filterContext: { of: "route" } }),
    "GET / ownroute",
  );
  assert.equal(await headerOf({ filterContext: { of: "route" } }), "GET / defaultroute");
});

test("a script that does not compile or load is refused with the filter's name and Lua's message", async () => {
  await assert.rejects(
    labOf(["function envoy_on_request(h) h:headers(: end"]),
    /listener a: the HTTP filter envoy\.filters\.http\.lua: defaultSourceCode: script load error: script:1: .* near ':'/,
  );
  await assert.rejects(labOf(["local x\n x.y = 1"]), /script load error: script:2: attempt to index local 'x'/);
  await assert.rejects(labOf(["require('socket')"]), /module 'socket' is not available to scripts/);
  await assert.rejects(labOf(["while true do end"]), /longer than 250 ms/);
  await assert.rejects(
    labOf([{ defaultSourceCode: { filename: "/etc/a.lua" } }]),
    /a script from filename; write it as inlineString is not supported/,
  );
  await assert.rejects(labOf([{ packagePaths: ["/x/?.lua"] }]), /the field packagePaths is not supported/);
});

test("requests of a service at a waypoint get 500 while its script does not load, and the listener is accepted", async () => {
  const extension = { name: "extensions.istio.io/trafficextension/shop.script" };
  for (const [source, message] of [
    ["x = = 1", /script:1: unexpected symbol near '='/],
    ["error('no')", /script:1: no/],
    ["while true do end", /the script ran longer than 250 ms/],
  ] as const) {
    await using lab = await labOf([source], describeRequest, { ...extension, isOptional: true });
    assert.deepEqual([(await lab.harness.get("/")).status, lab.errors()], [500, 1]);
    assert.equal(lab.harness.records[0]?.details, "lua_load_error");
    assert.match(lab.lines[0] ?? "", /the HTTP filter extensions.*shop.script: defaultSourceCode: script load error: /);
    assert.match(lab.lines[0] ?? "", message);
    assert.equal(lab.lines.length, 1);
    await assert.rejects(labOf([source], describeRequest, extension), message, "a workload's own listener");
    await assert.rejects(labOf([source], describeRequest, { isOptional: true }), message, "of an EnvoyFilter");
  }
});

test("a header with a line break never leaves a script", async () => {
  const answer = await through(onRequest('h:headers():add("x-lua", "a\\r\\nx-evil: 1")'));
  assert.deepEqual([answer.headers["x-got"], answer.errors], ["GET /a?b=c undefined", 1]);
  const spaced = await through(onRequest('h:headers():add("x lua", "a")'));
  assert.equal(spaced.errors, 1);
});

test("what a script logs forges no line, and the message of its error is cut", async () => {
  const answer = await through(
    onRequest('h:logInfo("a\\nb") print("c\\rd") error("e\\nf" .. string.rep("x", 100000))'),
  );
  const text = answer.lines.join("|");
  assert.match(text, /^info lua script log: a\\x0ab\n\|info lua script log: c\\x0dd\n\|error lua .*: e\\x0afx+…\n$/);
  assert.ok(text.length < 1000);
});

test("a line that a script logs is cut", async () => {
  const { lines } = await through(onRequest('local s = string.rep("x", 100000) h:logInfo(s) print(s)'));
  const line = `info lua script log: ${"x".repeat(4096)}…\n`;
  assert.deepEqual(lines, [line, line]);
});

test("a call of an unsupported method is logged with its name", async () => {
  const answer = await through(onRequest("h:connectionStreamInfo()"));
  assert.match(answer.lines[0] ?? "", /script:2: handle:connectionStreamInfo\(\) is not supported/);
});

test("a script chooses the endpoint of a request, and refuses every other one if it says so", async () => {
  await using lab = await labOf([
    onRequest(`
      local to = h:headers():get("x-to")
      if to then h:setUpstreamOverrideHost(to, h:headers():get("x-strict") ~= nil) end`),
  ]);
  const { harness } = lab;
  const backends = await Promise.all(
    Array.from({ length: 2 }, () =>
      harness.backend((request, response) => response.end(String(request.socket.localPort))),
    ),
  );
  harness.cluster(
    "app",
    backends.map(({ port }) => port),
  );
  for (const { port } of [...backends, ...backends, ...backends])
    assert.equal((await harness.get("/", { headers: { "x-to": `127.0.0.1:${port}` } })).body, String(port));
  assert.equal((await harness.get("/", { headers: { "x-to": "127.0.0.1:1" } })).status, 200);
  assert.equal((await harness.get("/", { headers: { "x-to": "127.0.0.1:1", "x-strict": "1" } })).status, 503);
  assert.equal(lab.errors(), 0);
  await harness.get("/", { headers: { "x-to": "a.test:80" } });
  assert.match(lab.lines.at(-1) ?? "", /host is not a valid IP address/);
});
