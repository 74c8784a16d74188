import { outcomeAt } from "../testing/denied-client.ts";
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { seededRandom, systemClock } from "../../base/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import { flagLetters } from "../terms/response-flags.ts";
import { connectionFrom } from "../testing/filter-request.ts";
import { Harness } from "../testing/harness.ts";
import { plainTcpSpec } from "../testing/plain-specs.ts";
import { peerExchangeProtocol } from "../peers/peer-exchange.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import type { TcpFlow } from "./tcp-flow.ts";

const spec = plainTcpSpec("shop");

/** What a client sees of a connection whose endpoint behaves in this way, and the connection's flow. */
async function through(
  alpnProtocol: string,
  endpoint: (socket: Socket) => void,
): Promise<{ readonly outcome: string; readonly flow: TcpFlow }> {
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    socket.resume();
    setTimeout(() => endpoint(socket), 50);
  });
  const cluster = harness.cluster("shop", [port]);
  const closed = Promise.withResolvers<TcpFlow>();
  const proxy = new TcpProxy({
    spec: () => spec,
    cluster: () => cluster,
    connector: {
      connect: async ({ address, port: at }, timeoutMs) =>
        Object.assign(await connectTcp({ address, port: at, timeoutMs }), { alpnProtocol }),
    },
    clock: systemClock,
    random: seededRandom(1),
    observer: { opened: () => undefined, moved: () => undefined, closed: closed.resolve },
  });
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
    proxy.accept(stream, connectionFrom("127.0.0.1")),
  );
  const outcome = await outcomeAt(listener.address.port);
  listener.close();
  return { outcome, flow: await closed.promise };
}

for (const alpnProtocol of [peerExchangeProtocol, "istio"]) {
  test(`a client sees the end of a connection that the endpoint's policy denies, and no reset, by ALPN ${alpnProtocol}`, async () => {
    const { outcome, flow } = await through(alpnProtocol, (socket) => socket.end());
    assert.equal(outcome, "end");
    // An endpoint that was reached does not count as a failed connection.
    assert.equal(flow.endpoint?.counters.connectFailures, 0);
    if (alpnProtocol === peerExchangeProtocol) assert.equal(flagLetters(flow.flag), "UC");
  });

  test(`a client sees the failure of a connection that the endpoint breaks off, and the flow its reason, by ALPN ${alpnProtocol}`, async () => {
    const { outcome, flow } = await through(alpnProtocol, (socket) => socket.resetAndDestroy());
    assert.equal(outcome, "ECONNRESET");
    assert.equal(flagLetters(flow.flag), "UC");
    assert.match(flow.transportFailure, /ECONNRESET/);
    assert.equal(flow.endpoint?.activeConnections, 0);
  });
}
