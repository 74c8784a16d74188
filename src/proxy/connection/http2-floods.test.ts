import assert from "node:assert/strict";
import { constants, type ClientHttp2Session } from "node:http2";
import { test } from "node:test";
import type { Clock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { http2Limits } from "../http2/http2-limits.ts";
import { Http2Flooder, streamAttacks } from "../testing/http2-flooder.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { sendRequest, connectTo } from "../testing/http2-peers.ts";

const attackers = 8;
const connectionsEach = 2;
/**
 * Enough streams to exceed two limits: of wasted streams, and of frames without progress. A refused stream counts
 * towards both.
 */
const floodStreams = 2 * http2Limits.maxIdleFramesPerSecond;
const upstreamDelayMs = 20;
const honestRequests = 50;

const longestPauseMs = http2Limits.wastedStreams * http2Limits.pausePerWastedStreamMs;

/**
 * How far the clock jumps beyond the end of the shortest pause, so that pauses which end soon after it end in the same
 * turn.
 */
const jumpMs = 5;

/**
 * A clock that jumps to the end of the shortest pause in each turn. Otherwise the test would wait, because the proxy
 * pauses longer and longer before it serves a wasteful client.
 */
class JumpingClock extends HandClock {
  #isArmed = false;

  override after(ms: number, run: () => void): Disposable {
    const timer = super.after(ms, run);
    this.#arm();
    return timer;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => {
      this.#isArmed = false;
      if (this.nextTimerMs > longestPauseMs) return;
      this.pass(this.nextTimerMs + jumpMs);
      this.#arm();
    });
  }
}

/** A gateway whose upstream answers the attackers' requests slowly. */
async function gateway(clock: Clock): Promise<Harness> {
  const harness = await Harness.start({}, 1, { clock });
  const { port } = await harness.backend((incoming, response) => {
    const answer = (): void => void response.end("fine");
    if (incoming.url === "/flood") setTimeout(answer, upstreamDelayMs);
    else answer();
  });
  // The attackers share this process, so a connection to the upstream may take long.
  const limits = { connectTimeoutMs: 60_000, maxConnections: Infinity, maxPendingRequests: Infinity };
  harness.cluster("a", [port], { limits: { ...limits, maxRequestsPerConnection: 0, idleTimeoutMs: 3_600_000 } });
  harness.table = tableOf(route(forwardTo("a")));
  return harness;
}

const openConnections = (harness: Harness): number =>
  [...(harness.clusters.get("a")?.endpoints() ?? [])].reduce((sum, { openConnections: open }) => sum + open, 0);

for (const [title, attack] of streamAttacks()) {
  test(`eight clients that flood by ${title} are cut off each time; an honest client is answered, and nothing of theirs is kept`, async () => {
    const clock = new JumpingClock();
    await using harness = await gateway(clock);
    const over = new AbortController();
    const flooders = Array.from({ length: attackers }, () => new Http2Flooder(attack, floodStreams));
    const flood = Promise.all(
      flooders.map(async (flooder) => {
        for (let count = 0; count < connectionsEach; count += 1) await flooder.run(harness.port, over.signal);
      }),
    );
    const honest = await connectTo(harness.port);
    for (let count = 0; count < honestRequests; count += 1) {
      const { headers, body } = await sendRequest(honest, { ":path": "/honest" });
      assert.deepEqual([headers[":status"], body.toString()], [200, "fine"]);
    }
    await flood;
    over.abort();
    for (const flooder of flooders)
      assert.deepEqual(
        flooder.endings,
        Array.from({ length: connectionsEach }, () => "ENHANCE_YOUR_CALM"),
      );
    const streams = flooders.reduce((sum, flooder) => sum + flooder.streams, 0);
    assert.ok(harness.finished.length < 2 * attackers * connectionsEach * http2Limits.wastedStreams, `${streams}`);
    // A connection that was cut off with unread input closes after its grace.
    clock.pass(http2Limits.closeGraceMs);
    await until(() => harness.clusters.get("a")?.activeRequests === 0 && harness.listener.connections === 1);
    // The pools close the idle upstream connections, which they opened for streams that ended early. Each honest
    // request may keep one connection.
    const later = performance.now() + 10_000;
    await until(() => {
      for (const endpoint of harness.clusters.get("a")?.endpoints() ?? [])
        for (const pool of endpoint.pools()) pool.sweep(later);
      return openConnections(harness) <= honestRequests;
    });
    honest.close();
  });
}

/** Sends a request whose body never ends. Resolves when the stream has ended, with the status. */
async function unfinished(session: ClientHttp2Session): Promise<number | undefined> {
  const stream = session.request({ ":method": "POST", ":path": "/unfinished" }, { endStream: false });
  let status: number | undefined;
  stream.on("response", (headers) => (status = headers[":status"]));
  stream.on("error", () => undefined);
  stream.resume();
  await new Promise<void>((resolve) => stream.once("close", resolve));
  return status;
}

test("a client whose unfinished requests each cost the gateway an upstream connection is disconnected", async () => {
  await using harness = await gateway(new JumpingClock());
  const client = await connectTo(harness.port);
  const leaves = new Promise<number>((resolve) => client.once("goaway", resolve));
  let answered = 0;
  while (!client.closed && answered < 2 * http2Limits.wastedStreams && (await unfinished(client)) === 200)
    answered += 1;
  // The limit of wasted streams recovers as time passes, so a few more requests are answered.
  assert.ok(answered < 1.2 * http2Limits.wastedStreams, `${answered} answers`);
  assert.equal(await leaves, constants.NGHTTP2_ENHANCE_YOUR_CALM);
});
