import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { HandClock, until, untilClosed } from "../../../base/testing/index.ts";
import { serveDebug } from "./testing/debug-server.ts";
import { cluster, debugOf, ownName, passing, pilot } from "./testing/debug-world.ts";
import { issued } from "./testing/pilot-certificates.ts";

/** A TCP server, and its connections. */
async function listen(
  context: TestContext,
  serve: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly sockets: readonly Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined).resume());
    serve(socket);
  }).listen(0, "127.0.0.1");
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, sockets };
}

test("a server that hangs or drips in the TLS handshake loses its connection in time, and one that closes at once", async (context) => {
  const { certificate } = await issued(ownName);
  const clock = new HandClock();
  /** Sends two requests, and returns how the first one ended. */
  const fateOf = async (serve: (socket: Socket) => void, dripped: readonly number[] = []): Promise<string> => {
    const { port, sockets } = await listen(context, serve);
    const debug = debugOf(cluster({ published: certificate }), port, { clock });
    const first = debug.ask(pilot, "/debug/syncz").catch((error: unknown) => (error as Error).message);
    await until(() => sockets.length === 1);
    for (const byte of dripped) {
      sockets[0]?.write(Buffer.of(byte));
      await passing(clock, 300);
    }
    await passing(clock, 2000);
    const fate = await first;
    if (sockets[0]?.destroyed !== true) await untilClosed(sockets[0]!);
    void debug.ask(pilot, "/debug/syncz").catch(() => undefined);
    await until(() => sockets.length === 2);
    return fate.replace(/^\S+ /, "");
  };
  assert.match(await fateOf(() => undefined), /^(did not end the TLS handshake in|has not answered for) 2000 ms$/);
  // The beginning of a TLS record of 16 KiB, sent byte by byte. Each byte is a sign of life.
  const drip = [22, 3, 3, 64, 0, 2, 0, 0, 0];
  assert.match(
    await fateOf(() => undefined, drip),
    /^(did not end the TLS handshake in|has not answered for) 2000 ms$/,
  );
  assert.match(await fateOf((socket) => socket.end()), /closed the connection/);
});

test("an answer that comes byte by byte keeps its caller for a short time, and its stream until the limit", async (context) => {
  const material = await issued(ownName);
  const { port, asked, streams } = await serveDebug(context, material, (name) => (name === "drip" ? undefined : name));
  const clock = new HandClock();
  const debug = debugOf(cluster({ published: material.certificate }), port, { clock });
  const dripping = assert.rejects(debug.ask(pilot, "/debug/drip"), { message: /has not answered for 2000 ms$/ });
  await until(() => asked.includes("drip"));
  const [stream] = streams;
  stream?.respond({ ":status": 200, "content-type": "application/grpc" });
  for (const byte of [0, 0, 0, 64, 0]) {
    stream?.write(Buffer.of(byte));
    await passing(clock, 500);
  }
  await dripping;
  for (let second = 0; second < 26; second += 1) {
    assert.equal(stream?.destroyed, false);
    stream.write(Buffer.of(0));
    await passing(clock, 1000);
    // The byte must arrive before more time passes, because the silence would otherwise last too long.
    assert.equal(await debug.ask(pilot, "/debug/other"), "other");
  }
  await passing(clock, 2000);
  await until(() => stream?.destroyed === true);
});

test("an API server that hangs delays a question for its limit, gets one request for all, and counts when it answers", async (context) => {
  const material = await issued(ownName);
  const { port } = await serveDebug(context, material, (name) => name);
  const clock = new HandClock();
  let gate = Promise.withResolvers<void>();
  const known = cluster({ published: material.certificate, answers: gate.promise });
  const debug = debugOf(known, port, { clock });
  const silent = { code: "timeout", message: /^the API server has not answered for 10000 ms/ };
  const asked = async (isOpen = (): boolean => true): Promise<void> => {
    const both = Promise.all(
      ["a", "b"].map(async (page) => await assert.rejects(debug.ask(pilot, `/debug/${page}`), silent)),
    );
    await until(isOpen);
    await passing(clock, 10_000);
    await both;
  };
  await asked();
  await asked();
  assert.deepEqual([known.reads, known.tokenRequests], [1, 0]);
  const hung = gate;
  gate = Promise.withResolvers();
  known.answers = gate.promise;
  hung.resolve();
  // The root is known, and the request for the token hangs. Let time pass only when the connection is open.
  await asked(() => known.tokenRequests === 1);
  await asked();
  assert.deepEqual([known.reads, known.tokenRequests], [2, 1]);
  gate.resolve();
  assert.equal(await debug.ask(pilot, "/debug/a"), "a");
  assert.equal(known.tokenRequests, 1);
});

test("a mesh of more pilots than the engine remembers forgets the one that was asked longest ago", async (context) => {
  const material = await issued(ownName);
  const { port } = await serveDebug(context, material, () => "404 page not found\n");
  const debug = debugOf(cluster({ published: material.certificate }), port);
  const page = "/debug/serin/acknowledged";
  for (let index = 0; index <= 64; index += 1)
    await assert.rejects(debug.ask({ ...pilot, name: `istiod-${index}` }, page), { reason: "404" });
  const lacks = ["istiod-64", "istiod-1", "istiod-0"].map((name) => debug.lacks({ ...pilot, name }, page));
  assert.deepEqual(lacks, [true, true, false]);
});
