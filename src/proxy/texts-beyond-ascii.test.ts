import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, fromJson, toBinary, type JsonObject } from "@bufbuild/protobuf";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  envoyRegistry,
  HttpRbacSchema,
  RouteConfigurationSchema,
} from "../wire/envoy/index.ts";
import { ConfigNotes } from "./config/config-check.ts";
import { compileHttpRbac } from "./config/filters/rbac-config.ts";
import { compileRouteTable } from "./config/routing/route-config.ts";
import { RbacFilter } from "./filters/authorization/rbac-filter.ts";
import { FilterStatistics } from "./terms/filter-statistics.ts";
import { grpcFrame } from "./terms/grpc-call.ts";
import { extAuthzFilter } from "./testing/ext-authz.ts";
import { neverAborted, testRequest } from "./testing/filter-request.ts";
import { Harness } from "./testing/harness.ts";

const notes = new ConfigNotes(() => undefined);
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");

async function statusOf(harness: Harness, target: string, fields = ""): Promise<number> {
  const client = harness.client();
  client.send(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n${bytesOf(fields)}\r\n`);
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(await client.until(/\r\n\r\n/)) ?? [];
  client.socket.destroy();
  return Number(status);
}

function tableOf(routes: JsonObject[]): ReturnType<typeof compileRouteTable> {
  const table = { name: "t", virtualHosts: [{ name: "all", domains: ["*"], routes }] };
  return compileRouteTable(fromJson(RouteConfigurationSchema, table, { registry: envoyRegistry() }), notes);
}

const user = (match: JsonObject): JsonObject => ({ header: { name: "x-user", ...match } });
const denials: readonly (readonly [name: string, permission: JsonObject])[] = [
  ["an exact header", user({ stringMatch: { exact: "jürgen" } })],
  ["the beginning of a header", user({ stringMatch: { prefix: "jü" } })],
  ["the end of a header", user({ stringMatch: { suffix: "ürgen" } })],
  ["a part of a header", user({ stringMatch: { contains: "ür" } })],
  ["a header without case", user({ stringMatch: { exact: "JüRGEN", ignoreCase: true } })],
  ["an expression for a header", user({ stringMatch: { safeRegex: { regex: "jü.{4}" } } })],
];

for (const [name, permission] of denials)
  test(`a policy with letters beyond ASCII denies the requests that it names: by ${name}`, async () => {
    const rules = { action: "DENY", policies: { p: { permissions: [permission], principals: [{ any: true }] } } };
    const message = fromJson(HttpRbacSchema, { rules }, { registry: envoyRegistry() });
    const settings = compileHttpRbac(message, "test", notes);
    const filter = new RbacFilter("rbac", settings, { statistics: new FilterStatistics() }, "http.in.");
    await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
    harness.table = tableOf([{ match: { prefix: "/" }, directResponse: { status: 200 } }]);
    assert.equal(await statusOf(harness, "/", "x-user: jürgen\r\n"), 403);
    assert.equal(await statusOf(harness, "/", "x-user: juergen\r\n"), 200);
  });

test("routes match headers with letters beyond ASCII", async () => {
  await using harness = await Harness.start();
  const match = { prefix: "/", headers: [{ name: "x-user", stringMatch: { exact: "jürgen" } }] };
  harness.table = tableOf([
    { match, directResponse: { status: 201 } },
    { match: { prefix: "/" }, directResponse: { status: 202 } },
  ]);
  assert.equal(await statusOf(harness, "/", "x-user: jürgen\r\n"), 201);
  assert.equal(await statusOf(harness, "/", "x-user: juergen\r\n"), 202);
});

test("routes write headers with letters beyond ASCII in UTF-8, and pass on a client's bytes", async () => {
  await using harness = await Harness.start();
  const app = await harness.backend((request, response) =>
    response.setHeader("x-got", Buffer.from(String(request.headers["x-name"]), "latin1").toString()).end(),
  );
  harness.cluster("app", [app.port]);
  const header = { key: "x-name", value: "größe-%REQ(x-user)%-%DYNAMIC_METADATA(filter:name)%" };
  harness.table = tableOf([{ match: { prefix: "/" }, route: { cluster: "app" }, requestHeadersToAdd: [{ header }] }]);
  const client = harness.client();
  client.send(`GET / HTTP/1.1\r\nHost: a.test\r\nx-user: ${bytesOf("jürgen")}\r\n\r\n`);
  const [, got] = /x-got: (\S+)/i.exec(await client.until(/\r\n\r\n/)) ?? [];
  assert.equal(got, "größe-jürgen-");
});

test("an authorizer reads letters beyond ASCII as the client wrote them, and writes them into the request", async () => {
  let asked: ReturnType<typeof http> | undefined;
  const http = (body: Buffer) => fromBinary(CheckRequestSchema, body.subarray(5)).attributes?.request?.http;
  const filter = extAuthzFilter({ grpcService: { envoyGrpc: { clusterName: "authz" } } }, ({ body }) => {
    asked = http(body);
    const headers = [{ header: { key: "x-name", value: "jürgen" } }];
    const answer = create(CheckResponseSchema, {
      status: { code: 0 },
      httpResponse: { case: "okResponse", value: { headers } },
    });
    return Promise.resolve({
      status: 200,
      headers: [["grpc-status", "0"]],
      body: grpcFrame(toBinary(CheckResponseSchema, answer)),
    });
  });
  const headers = { "x-user": bytesOf("jürgen"), "x-odd": "a\xffb\xc3" };
  const request = testRequest("/", { headers });
  assert.equal(await filter.onRequest(request, neverAborted), undefined);
  assert.deepEqual([asked?.headers["x-user"], asked?.headers["x-odd"]], ["jürgen", "a!b!"]);
  assert.equal(request.fields.get("x-name"), bytesOf("jürgen"));
});
