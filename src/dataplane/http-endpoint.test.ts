import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { test } from "node:test";
import { createLogger, type LogThreshold } from "../base/index.ts";
import { listenHttp, loggingRoute } from "./http-endpoint.ts";

test("the log level is read and set by POST, for every scope at once", async () => {
  const threshold: LogThreshold = { level: "info" };
  const lines: string[] = [];
  const log = createLogger({
    scope: "a",
    level: threshold,
    write: (line) => void lines.push(line.split("\t").slice(1, 4).join(" ").trim()),
  }).scoped("b");
  const endpoint = await listenHttp({ address: "127.0.0.1", port: 0, routes: { "/logging": loggingRoute(threshold) } });
  const setLevel = async (method: string, query: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${endpoint.port}/logging${query}`, { method });
    return `${answer.status} ${(await answer.text()).trim()}`;
  };
  log.debug("unseen");
  assert.equal(await setLevel("POST", ""), "200 current log level is info");
  assert.equal(await setLevel("POST", "?level=debug"), "200 current log level is debug");
  log.debug("seen");
  assert.deepEqual(lines, ["debug b seen"]);
  assert.equal(
    await setLevel("POST", "?level=loud"),
    "400 level loud is unknown: expected one of trace, debug, info, warn, error",
  );
  assert.match(await setLevel("GET", "?level=warn"), /^405 /);
  assert.equal(log.level, "debug");
  await endpoint.close();
});

test("a foreign web page cannot reach any path through the browser of a user who forwards the port", async () => {
  let calls = 0;
  const quit = () => {
    calls += 1;
    return { status: 200, body: "OK\n" };
  };
  const endpoint = await listenHttp({ address: "127.0.0.1", port: 0, routes: { "/quitquitquit": quit } });
  const statusWith = async (headers: Record<string, string>): Promise<number> => {
    const { port } = endpoint;
    const outgoing = httpRequest({ host: "127.0.0.1", port, path: "/quitquitquit", method: "POST", headers }).end();
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  };
  assert.equal(await statusWith({ host: "evil.example" }), 403);
  assert.equal(await statusWith({ host: "localhost:15000", origin: "http://evil.example" }), 403);
  assert.equal(await statusWith({ host: "localhost:15000", "sec-fetch-site": "cross-site" }), 403);
  assert.equal(calls, 0);
  assert.equal(await statusWith({ host: "localhost:15000" }), 200);
  await endpoint.close();
});
