import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpFilter } from "../../filters/http-filter.ts";
import type { ForwardAction } from "../../routing/route.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";

async function received(
  config: Partial<HttpConnectionConfig>,
  action: Partial<ForwardAction>,
  headers: Record<string, string> = {},
) {
  await using harness = await Harness.start(config);
  const app = await harness.backend((request, answer) => answer.end(JSON.stringify(request.headersDistinct)));
  harness.cluster("a", [app.port]);
  harness.table = tableOf(route(forwardTo("a", action)));
  const { body } = await harness.get("/", { headers: { host: "shop.test", ...headers } });
  const { host, "x-forwarded-host": before, "x-forwarded-port": port } = JSON.parse(body) as Record<string, string[]>;
  return { host, before, ownPort: port?.map((given) => given === String(harness.port)), port };
}

test("a gateway sends the port that the client used, and the client's own header counts only behind a trusted proxy", async () => {
  const appendsPort = { useRemoteAddress: true, appendForwardedPort: true };
  const clientPort = { "x-forwarded-port": "1" };
  assert.equal((await received({ useRemoteAddress: true }, {})).port, undefined);
  assert.deepEqual((await received({ useRemoteAddress: true }, {}, clientPort)).port, ["1"]);
  assert.deepEqual((await received(appendsPort, {})).ownPort, [true]);
  assert.deepEqual((await received(appendsPort, {}, clientPort)).ownPort, [true]);
  assert.deepEqual((await received({ ...appendsPort, trustedHops: 1 }, {}, clientPort)).port, ["1"]);
  assert.deepEqual((await received({ ...appendsPort, trustedHops: 1 }, {})).ownPort, [true]);
});

test("filters see the port as the server does", async () => {
  const ports: (string | undefined)[] = [];
  const looks: HttpFilter = {
    name: "looks",
    onRequest: (request) => {
      ports.push(request.header("x-forwarded-port"), ...request.values("x-forwarded-port"));
      return undefined;
    },
  };
  const { port } = await received(
    { useRemoteAddress: true, appendForwardedPort: true, filters: [looks], filtersIdle: false },
    {},
    { "x-forwarded-port": "1" },
  );
  assert.deepEqual(ports, [...(port ?? []), ...(port ?? [])]);
});

test("x-forwarded-host gets the replaced host once, after those of earlier hops, and only if the route requests it", async () => {
  const rewritten = { rewriteHost: "inner.test" };
  const appendsHost = { ...rewritten, appendForwardedHost: true };
  const hosts = async (action: Partial<ForwardAction>, forwardedHost?: string): Promise<unknown> => {
    const { host, before } = await received(
      {},
      action,
      forwardedHost === undefined ? {} : { "x-forwarded-host": forwardedHost },
    );
    return [host?.[0], before];
  };
  assert.deepEqual(await hosts(rewritten, "edge.test"), ["inner.test", ["edge.test"]]);
  assert.deepEqual(await hosts({ appendForwardedHost: true }), ["shop.test", undefined]);
  assert.deepEqual(await hosts(appendsHost), ["inner.test", ["shop.test"]]);
  assert.deepEqual(await hosts(appendsHost, "edge.test"), ["inner.test", ["edge.test,shop.test"]]);
  assert.deepEqual(await hosts(appendsHost, "edge.test,shop.test"), ["inner.test", ["edge.test,shop.test"]]);
});
