import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { connectTo, sendRequest } from "../testing/http2-peers.ts";

async function serving(config: Partial<HttpConnectionConfig>) {
  const clock = new HandClock();
  const harness = await Harness.start(config, 1, { clock });
  const { port } = await harness.backend((_, response) => response.end("ok"));
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const seconds = (count: number): void => {
    for (let second = 0; second < count; second += 1) {
      clock.pass(1000);
      harness.listener.sweep();
    }
  };
  const client = harness.client();
  const get = async (): Promise<string> => {
    client.received = "";
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    return await client.until(/ok$/);
  };
  return { harness, client, get, seconds, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

const closes = /\r\nconnection: close\r\n/;

test("an old connection of HTTP/1.1 closes with its next response, or when it is idle", async () => {
  await using busy = await serving({ maxConnectionMs: 60_000 });
  await busy.get();
  busy.seconds(59);
  assert.doesNotMatch(await busy.get(), closes);
  busy.seconds(1);
  assert.match(await busy.get(), closes);
  await busy.client.closed;

  await using idle = await serving({ maxConnectionMs: 60_000 });
  assert.doesNotMatch(await idle.get(), closes);
  idle.seconds(60);
  await idle.client.closed;
});

test("a connection of HTTP/1.1 closes after its last permitted request", async () => {
  await using one = await serving({ maxRequestsPerConnection: 2 });
  assert.doesNotMatch(await one.get(), closes);
  assert.match(await one.get(), closes);
  await one.client.closed;
});

test("a connection of HTTP/2 says goodbye when it is old or has had its requests, and serves the open ones", async () => {
  for (const config of [{ maxConnectionMs: 60_000 }, { maxRequestsPerConnection: 1 }]) {
    await using one = await serving(config);
    const session = await connectTo(one.harness.port);
    const goaway = once(session, "goaway");
    const answer = sendRequest(session, { ":path": "/" });
    if (config.maxRequestsPerConnection === undefined) {
      await answer;
      one.seconds(60);
    }
    await goaway;
    assert.equal((await answer).headers[":status"], 200);
    session.destroy();
  }
});
