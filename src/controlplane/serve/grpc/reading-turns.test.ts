import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../../../base/index.ts";
import { HandClock, until } from "../../../base/testing/index.ts";
import { FrameWriter, hpackEncode } from "../../../wire/http2/index.ts";
import { GrpcServer, type GrpcMethod } from "./grpc-server.ts";
import { ReadingTurns, type ReadConnection } from "./reading-turns.ts";
import { path, requestFields, turn } from "./testing/frame-client.ts";

const slowMs = 30;
const greedies = Array.from({ length: 20 }, () => "127.0.0.2");

/** A server whose clock shows that each request takes 30 ms. `order` lists the clients whose requests it has taken. */
async function serveSlowly(): Promise<{
  readonly server: GrpcServer;
  readonly port: number;
  readonly order: string[];
}> {
  let nowMs = 0;
  const order: string[] = [];
  const method: GrpcMethod = (call) =>
    call.start({
      message: () => {
        nowMs += slowMs;
        order.push(call.peer.address);
      },
      ended: () => call.end(),
      drained: () => undefined,
      failed: () => call.end(),
      closed: () => undefined,
    });
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    after: (ms, run) => {
      // Longer timers belong to the server's sweeps, so they run in real time.
      if (ms > 100) return systemClock.after(ms, run);
      return systemClock.after(0, () => {
        nowMs += ms;
        run();
      });
    },
  };
  const server = new GrpcServer({ methods: new Map([[path, method]]), maxRequestBytes: 100, clock, log: silentLogger });
  return { server, port: await server.listen("127.0.0.1", 0), order };
}

async function client(port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  const writer = new FrameWriter();
  writer.preface();
  writer.settings([]);
  socket.write(writer.view());
  await once(socket, "data");
  socket.resume();
  return socket;
}

/** Sends a request in one write. The server may read the requests in any number of turns. */
function ask(socket: Socket, id: number): void {
  const writer = new FrameWriter();
  writer.headers(id, hpackEncode(requestFields), false, 16_384);
  writer.data(id, Buffer.from([0, 0, 0, 0, 1, 7]), 0, 6, true);
  socket.write(writer.view());
}

test("a client with many connections and slow requests does not keep the requests of another one waiting", async () => {
  const { server, port, order } = await serveSlowly();
  // The kernel chooses the order in which it reports connections. So the other clients connect before, between and
  // after the greedy ones.
  const all: Socket[] = [];
  try {
    for (const address of ["127.0.0.3", ...greedies, "127.0.0.4", ...greedies, "127.0.0.5"])
      all.push(await client(port, address));
    for (const socket of all) ask(socket, 1);
    await until(() => order.length === all.length);
    const places = ["127.0.0.3", "127.0.0.4", "127.0.0.5"].map((address) => order.indexOf(address));
    assert.ok(Math.max(...places) <= 5, `requests of others came at the places ${places.join(", ")}`);
    for (const socket of all) ask(socket, 3);
    await until(() => order.length === 2 * all.length);
  } finally {
    for (const socket of all) socket.destroy();
    server.close();
  }
});

test("an address whose requests take long again and again waits as long as they take, while others are connected", async () => {
  const clock = new HandClock();
  const turns = new ReadingTurns(clock);
  const connection = (address: string): ReadConnection & { isPaused: boolean } => ({
    peer: { address },
    isPaused: false,
    pauseReading() {
      this.isPaused = true;
    },
    resumeReading() {
      this.isPaused = false;
    },
  });
  const [slow, other] = [connection("10.0.0.1"), connection("10.0.0.2")];
  turns.add(slow);
  const spend = async (ms: number): Promise<boolean> => {
    turns.spent(slow, ms, clock.steadyMs());
    const isPaused = slow.isPaused;
    await turn();
    return isPaused;
  };
  assert.deepEqual([await spend(400), await spend(400)], [false, false], "nobody else needs the time");
  turns.add(other);
  assert.equal(await spend(400), true);
  clock.pass(399);
  await turn();
  assert.deepEqual([slow.isPaused, other.isPaused], [true, false]);
  clock.pass(1);
  await turn();
  assert.equal(slow.isPaused, false);
  clock.pass(10_000);
  assert.equal(await spend(400), false, "it has been idle since");
  turns.remove(slow);
  turns.add(slow);
  assert.equal(await spend(400), true, "a new connection does not save it the wait");
  turns.remove(slow);
  const again = connection("10.0.0.1");
  turns.add(again);
  assert.equal(again.isPaused, true);
  clock.pass(400);
  await turn();
  assert.equal(again.isPaused, false);
});
