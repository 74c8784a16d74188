import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, HttpRbacSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileHttpRbac } from "../config/filters/rbac-config.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import { RbacFilter } from "../filters/authorization/rbac-filter.ts";
import { FilterStatistics } from "../terms/filter-statistics.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

/** A filter like that of an external authorizer, which rewrites a request by its header `x-edit`. */
const editor: HttpFilter = {
  name: "editor",
  onRequest(request) {
    const [name = "", value] = request.header("x-edit")?.split("=") ?? [];
    if (value === "") request.removeHeader(name);
    else if (value !== undefined) request.setHeader(name, value);
    // Choose the route again, as Lua scripts and plugins do after each change.
    if (name === "x-forwarded-for") request.clearRoute();
    return undefined;
  },
};

function denies(permission: JsonObject, principal: JsonObject = { any: true }): RbacFilter {
  const config = { rules: { action: "DENY", policies: { p: { permissions: [permission], principals: [principal] } } } };
  const message = fromJson(HttpRbacSchema, config, { registry: envoyRegistry() });
  const settings = compileHttpRbac(message, "test", new ConfigNotes(() => undefined));
  return new RbacFilter("envoy.filters.http.rbac", settings, { statistics: new FilterStatistics() }, "http.in.");
}

async function serving(rule: RbacFilter): Promise<Harness> {
  const harness = await Harness.start({ filters: [editor, rule], filtersIdle: false, useRemoteAddress: false });
  const app = await harness.backend((request, response) =>
    response.end(`${request.method} ${request.url} ${request.headers.host}`),
  );
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  return harness;
}

const rules: readonly (readonly [edit: string, permission: JsonObject, forwarded: RegExp])[] = [
  [":path=/admin", { urlPath: { path: { prefix: "/admin" } } }, /^GET \/other /],
  [":path=/x/../admin", { urlPath: { path: { prefix: "/admin" } } }, /^GET \/other /],
  [":path=/x?admin", { header: { name: ":path", stringMatch: { contains: "admin" } } }, /^GET \/other /],
  [":method=DELETE", { header: { name: ":method", stringMatch: { exact: "DELETE" } } }, /^GET /],
  ["host=admin.test", { header: { name: ":authority", stringMatch: { exact: "admin.test" } } }, / 127\.0\.0\.1:\d+$/],
  [":authority=admin.test", { header: { name: "host", stringMatch: { exact: "admin.test" } } }, / 127\.0\.0\.1:\d+$/],
];

for (const [edit, permission, forwarded] of rules)
  test(`a policy judges the request that an earlier filter has made: ${edit}`, async () => {
    await using harness = await serving(denies(permission));
    assert.equal((await harness.get("/other", { headers: { "x-edit": edit } })).status, 403);
    const untouched = await harness.get("/other");
    assert.deepEqual([untouched.status, forwarded.test(untouched.body)], [200, true], untouched.body);
  });

test("a field x-forwarded-for without a value hides no address", async () => {
  await using harness = await serving(
    denies({ any: true }, { remoteIp: { addressPrefix: "203.0.113.0", prefixLen: 24 } }),
  );
  for (const fields of [
    "X-Forwarded-For: 203.0.113.9\r\n",
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For:\r\n",
    "X-Forwarded-For:\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: \r\n",
    "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For:\r\nX-Forwarded-For: 203.0.113.9\r\n",
  ]) {
    const client = harness.client();
    client.send(`GET /other HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    assert.match(await client.until(/\r\n\r\n/), /^HTTP\/1\.1 403 /, fields);
    client.socket.destroy();
  }
});

test("a filter that changes x-forwarded-for does not change the client's address for policies", async () => {
  await using harness = await serving(
    denies({ any: true }, { remoteIp: { addressPrefix: "203.0.113.0", prefixLen: 24 } }),
  );
  const statusOf = async (edit: string): Promise<number> => {
    const headers = { "x-forwarded-for": "203.0.113.9", "x-edit": edit };
    return (await harness.get("/other", { headers })).status;
  };
  assert.equal(await statusOf("x-unused=1"), 403);
  assert.equal(await statusOf("x-forwarded-for="), 403);
  assert.equal(await statusOf("x-forwarded-for=10.0.0.1"), 403);
});
