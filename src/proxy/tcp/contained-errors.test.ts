import { outcomeAt } from "../testing/denied-client.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { containErrors, seededRandom, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import { connectionFrom } from "../testing/filter-request.ts";
import { Harness } from "../testing/harness.ts";
import { plainTcpSpec } from "../testing/plain-specs.ts";
import type { TcpObserver } from "./tcp-flow.ts";
import { TcpProxy } from "./tcp-proxy.ts";

function fault(): never {
  throw new TypeError("a fault");
}

for (const call of ["opened", "moved", "closed"] as const satisfies readonly (keyof TcpObserver)[])
  test(`a connection whose observer throws in ${call} ends, and the proxy forgets it`, async () => {
    const reported: unknown[] = [];
    using _ = containErrors((error) => void reported.push(error));
    await using harness = await Harness.start();
    const cluster = harness.cluster("shop", [await harness.rawBackend((socket) => socket.end())]);
    const quiet: TcpObserver = { opened: () => undefined, moved: () => undefined, closed: () => undefined };
    const proxy = new TcpProxy({
      spec: () => plainTcpSpec("shop"),
      cluster: () => cluster,
      connector: {
        connect: async ({ address, port }, timeoutMs) => await connectTcp({ address, port, timeoutMs }),
      },
      clock: systemClock,
      random: seededRandom(1),
      observer: { ...quiet, [call]: fault },
    });
    const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
      proxy.accept(stream, connectionFrom("127.0.0.1")),
    );
    await outcomeAt(listener.address.port);
    await until(() => proxy.connections === 0);
    listener.close();
    assert.deepEqual(reported.map(String), ["TypeError: a fault"]);
  });
