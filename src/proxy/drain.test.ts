import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { ShutdownController, silentLogger, systemClock } from "../base/index.ts";
import { hastyClock, until } from "../base/testing/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { drain } from "./drain.ts";
import { edsCluster, plainEndpoints } from "./testing/ads-server.ts";
import { outboundTcp } from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

/** How long a connection of a removed listener lives. */
const limitMs = 1000;
const clock = hastyClock(5);

async function waypoint(t: TestContext, terminationDrain: string): Promise<{ proxy: TestProxy; client: Socket }> {
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = await freePort();
  const proxy = await TestProxy.start({
    name: "waypoint",
    role: "waypoint",
    authority: new FakeCertificateAuthority(),
    clock,
    workers: 1,
    proxyConfig: `drainDuration: ${limitMs / 1000}s\nterminationDrainDuration: ${terminationDrain}\n`,
  });
  const { ads } = proxy;
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [(server.address() as AddressInfo).port]) });
  ads.push(typeUrls.listener, {
    main: { ...(outboundTcp("127.0.0.1", port, "a") as object), name: "main", bindToPort: true },
  });
  await proxy.ready();
  const client = connect(port, "127.0.0.1").on("error", () => undefined);
  await once(client, "connect");
  t.after(async () => {
    client.destroy();
    await proxy[Symbol.asyncDispose]();
    server.close();
  });
  return { proxy, client };
}

async function echoes(client: Socket): Promise<void> {
  client.write("x");
  assert.equal(String((await once(client, "data"))[0]), "x");
}

test("a draining proxy keeps a connection as long as its Gateway exists, and cuts it soon after the Gateway is deleted", async (t) => {
  const { proxy, client } = await waypoint(t, "0s");
  await echoes(client);
  proxy.shutdown.request("SIGTERM");
  await until(() => proxy.log.some((line) => line.includes("stopped listening")));
  await clock.sleep(2 * limitMs);
  await echoes(client);
  const closed = once(client, "close");
  proxy.ads.push(typeUrls.listener, {}, ["main"]);
  await Promise.all([closed, proxy.ended]);
});

test("a proxy whose Gateway is deleted does not wait for further connections", async (t) => {
  const { proxy, client } = await waypoint(t, "3600s");
  await echoes(client);
  proxy.shutdown.request("SIGTERM");
  await until(() => proxy.log.some((line) => line.includes("still listening")));
  proxy.ads.push(typeUrls.listener, {}, ["main"]);
  await proxy.ended;
});

test("a draining proxy keeps listening when connections arrived while it waited for a processor", async () => {
  const quietEnoughMs = 2000;
  let nowMs = 0;
  let acceptedMs = 0;
  let accepted = 0;
  // This connection already waits in the kernel when the proxy first notices two seconds without a connection.
  const acceptNext = (): void => {
    if (accepted === 0 && nowMs >= quietEnoughMs)
      setImmediate(() => {
        accepted = 1;
        acceptedMs = nowMs;
      });
  };
  let stoppedMs = -1;
  await drain({
    serving: {
      status: () => {
        acceptNext();
        return Promise.resolve({ pending: [], listeners: 1, connections: 0, quietMs: nowMs - acceptedMs });
      },
      drain: () => undefined,
      stopListening: () => {
        stoppedMs = nowMs;
      },
      closeQuiet: () => undefined,
      closeAll: () => undefined,
    },
    shutdown: new ShutdownController(),
    minimumMs: 0,
    inboundOnly: false,
    applicationEnded: false,
    clock: {
      ...systemClock,
      steadyMs: () => nowMs,
      sleep: async (ms) => {
        nowMs += ms;
      },
    },
    log: silentLogger,
  });
  assert.deepEqual({ accepted, stoppedMs }, { accepted: 1, stoppedMs: 2 * quietEnoughMs });
});
