import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { transientError, userError, type LogThreshold } from "../../base/index.ts";
import { mayAskDebug } from "./debug-requests.ts";
import { forKnownCallers, forLoopback, serveHttp } from "./http-endpoints.ts";
import { serveLogControl } from "./log-control.ts";

test("a path is found with any number of leading slashes, as istioctl sends it, and no other path is found", async () => {
  const server = await serveHttp("127.0.0.1", 0, {
    "/version": ({ search }) => ({ status: 200, body: `1.2.3${search}` }),
  });
  const { port } = server.address() as AddressInfo;
  const fetchText = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return `${response.status} ${(await response.text()).trim()}`;
  };
  assert.deepEqual(await Promise.all(["/version", "//version", "///version?a=//b"].map(fetchText)), [
    "200 1.2.3",
    "200 1.2.3",
    "200 1.2.3?a=//b",
  ]);
  for (const path of ["//", "/", "//localhost/version", "/version/"])
    assert.match(await fetchText(path), /^404 no such path; available paths: \/version$/);
  server.close();
});

test("loopback-only paths answer callers from the loopback over both families, and no other callers, whatever their headers say", async () => {
  const route = forLoopback(() => ({ status: 200, body: "told" }));
  const statusFor = async (remoteAddress: string | undefined, remoteFamily: string | undefined): Promise<number> =>
    (
      await route(new URL("http://localhost/debug/syncz"), {
        socket: { remoteAddress, remoteFamily },
        headers: { "x-forwarded-for": "127.0.0.1", host: "localhost" },
      } as unknown as IncomingMessage)
    ).status;
  assert.deepEqual(
    await Promise.all([
      statusFor("127.0.0.1", "IPv4"),
      statusFor("127.8.0.1", "IPv4"),
      statusFor("::1", "IPv6"),
      statusFor("::ffff:127.0.0.1", "IPv6"),
    ]),
    [200, 200, 200, 200],
  );
  assert.deepEqual(
    await Promise.all([
      statusFor("10.244.0.5", "IPv4"),
      statusFor("::ffff:10.244.0.5", "IPv6"),
      statusFor("fd00::1", "IPv6"),
      statusFor(undefined, undefined),
    ]),
    [401, 401, 401, 401],
  );
});

test("log levels are read and set as istioctl's admin log does, with or without a trailing slash", async () => {
  const threshold: LogThreshold = { level: "info" };
  const server = await serveLogControl(0, threshold);
  const { port } = server.address() as AddressInfo;
  for (const path of ["/scopej", "/scopej/"])
    assert.match(
      await (await fetch(`http://127.0.0.1:${port}${path}`)).text(),
      /^\[\{"name":"default",.*"output_level":"info"/,
    );
  const set = await fetch(`http://127.0.0.1:${port}/scopej/default`, {
    method: "PUT",
    body: JSON.stringify({ name: "default", output_level: "debug" }),
  });
  assert.deepEqual([set.status, threshold.level], [202, "debug"]);
  assert.equal((await fetch(`http://127.0.0.1:${port}/scopej/ads`)).status, 404);
  server.close();
});

test("callers in the pod and in the control plane's namespace get all debug answers; other namespaces see only their own proxies", async () => {
  const route = forKnownCallers(
    () => ({ status: 200, body: "told" }),
    ({ headers: { authorization } }) => {
      if (authorization === "Bearer down") return Promise.reject(transientError("review-failed", "no API server"));
      const namespace = /^Bearer of-(.+)$/.exec(authorization ?? "")?.[1];
      return namespace === undefined
        ? Promise.reject(userError("unauthenticated", "no token"))
        : Promise.resolve({ namespace });
    },
    (namespace, url) => mayAskDebug(namespace, url, (caller) => caller === "istio-system"),
  );
  const fetchText = async (remoteAddress: string, path: string, authorization?: string): Promise<number> =>
    (
      await route(new URL(path, "http://localhost"), {
        socket: { remoteAddress },
        headers: { authorization, "x-forwarded-for": "127.0.0.1" },
      } as unknown as IncomingMessage)
    ).status;
  const dump = "/debug/config_dump?proxyID=web-1.shop";
  assert.equal(await fetchText("127.0.0.1", "/debug/syncz"), 200);
  for (const path of ["/debug/syncz", dump, "/debug/serin/proxies", "/debug"])
    for (const [authorization, status] of [
      [undefined, 401],
      ["Bearer forged", 401],
      ["Bearer down", 503],
      ["Bearer of-istio-system", 200],
      ["Bearer of-shop", path === dump ? 200 : 403],
      ["Bearer of-other", 403],
    ] as const)
      assert.equal(await fetchText("::ffff:10.244.0.5", path, authorization), status, `${path} ${authorization}`);
  assert.equal(await fetchText("10.244.0.5", "/debug/config_dump?proxyID=shop", "Bearer of-shop"), 403);
});

test("a foreign web page cannot read debug pages or set the log level through the browser of a user who forwards the port", async () => {
  const threshold: LogThreshold = { level: "info" };
  const debug = await serveHttp("127.0.0.1", 0, { "/debug/configz": () => ({ status: 200, body: "told" }) });
  const control = await serveLogControl(0, threshold);
  const statusWith = async (
    { port }: AddressInfo,
    [method, path]: readonly [string, string],
    headers: Record<string, string>,
  ): Promise<number> => {
    const outgoing = httpRequest({ host: "127.0.0.1", port, path, method, headers });
    outgoing.end(method === "PUT" ? '{"output_level":"debug"}' : undefined);
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  };
  for (const headers of [{ host: "evil.example" }, { host: "localhost", "sec-fetch-site": "cross-site" }]) {
    assert.equal(await statusWith(debug.address() as AddressInfo, ["GET", "/debug/configz"], headers), 403);
    assert.equal(await statusWith(control.address() as AddressInfo, ["PUT", "/scopej/default"], headers), 403);
  }
  assert.equal(threshold.level, "info");
  assert.equal(await statusWith(debug.address() as AddressInfo, ["GET", "/debug/configz"], { host: "localhost" }), 200);
  debug.close();
  control.close();
});
