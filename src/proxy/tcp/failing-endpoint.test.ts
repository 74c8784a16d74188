import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock } from "../../base/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import { connectionFrom } from "../testing/filter-request.ts";
import { Harness, plainOutliers, sendText } from "../testing/harness.ts";
import { plainTcpSpec } from "../testing/plain-specs.ts";
import { TcpProxy } from "./tcp-proxy.ts";

test("an endpoint whose connections fail in a row is ejected, and one that accepts a connection in between is not", async () => {
  await using harness = await Harness.start();
  const echo = await harness.rawBackend((socket) => void socket.pipe(socket));
  const unreachable = 1;
  const cluster = harness.cluster("shop", [echo, unreachable], {
    outliers: { ...plainOutliers, consecutiveGatewayErrors: 3, maxEjectionPercent: 50 },
  });
  let attempts = 0;
  const proxy = new TcpProxy({
    spec: () => plainTcpSpec("shop"),
    cluster: () => cluster,
    connector: {
      connect: async ({ address, port }, timeoutMs) => {
        if (port === unreachable || (attempts += 1) % 3 !== 0) throw new Error("refused");
        return await connectTcp({ address, port, timeoutMs });
      },
    },
    clock: systemClock,
    random: seededRandom(1),
    observer: { opened: () => undefined, moved: () => undefined, closed: () => undefined },
  });
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
    proxy.accept(stream, connectionFrom("127.0.0.1")),
  );
  // Round robin gives each endpoint every second connection until one is ejected.
  for (let connection = 0; connection < 20; connection += 1) await sendText(listener.address.port, "x");
  listener.close();
  const endpoints = [...cluster.endpoints()];
  assert.deepEqual(
    endpoints.map(({ usable }) => usable),
    [true, false],
  );
  assert.equal(endpoints[1]?.counters.connectFailures, 3);
});
