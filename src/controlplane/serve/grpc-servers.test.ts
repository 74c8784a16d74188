import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { silentLogger, systemClock } from "../../base/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import type { DiscoveryClient, DiscoveryServer } from "./discovery-server.ts";
import { createPlaintextServer } from "./grpc-servers.ts";

test("a connection announces its limit of 100 concurrent streams", async () => {
  const server = createPlaintextServer({ discovery: {} as DiscoveryServer, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    await once(session, "remoteSettings");
    assert.equal(session.remoteSettings.maxConcurrentStreams, 100);
  } finally {
    session.destroy();
    await server.stop(0);
  }
});

test("a server that stops ends discovery streams at once, because they would not end themselves", async () => {
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const client: DiscoveryClient = { receive: () => opened.resolve(), drained() {}, close: () => closed.resolve() };
  const discovery = { connect: () => client } as unknown as DiscoveryServer;
  const server = createPlaintextServer({ discovery, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const proxy = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const bytes = (value: Buffer): Buffer => value;
  const stream = proxy.makeBidiStreamRequest(discoveryMethods.deltaAds, bytes, bytes);
  const ended = new Promise<grpc.StatusObject>((resolve) => stream.on("status", resolve));
  stream.on("error", () => undefined).resume();
  stream.write(Buffer.from("a request"));
  await opened.promise;
  await server.stop(60_000);
  assert.equal((await ended).code, grpc.status.OK);
  await closed.promise;
  proxy.close();
});
