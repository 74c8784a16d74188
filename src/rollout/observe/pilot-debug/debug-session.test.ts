import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { test, type TestContext } from "node:test";
import { HandClock, until, untilClosed } from "../../../base/testing/index.ts";
import { usualLimits } from "./debug-limits.ts";
import { serveDebug, type Page, type ServedDebug } from "./testing/debug-server.ts";
import { cluster, debugOf, ownName, passing, pilot } from "./testing/debug-world.ts";
import { issued } from "./testing/pilot-certificates.ts";
import type { PilotDebug, PilotDebugOptions } from "./pilot-debug.ts";

const usual = { ...usualLimits, patienceMs: 2000 };
type Limits = Partial<typeof usual>;

async function world(
  context: TestContext,
  page: Page,
  limits: Limits = {},
  more: Partial<PilotDebugOptions> = {},
): Promise<ServedDebug & { readonly debug: PilotDebug }> {
  const material = await issued(ownName);
  const served = await serveDebug(context, material, page);
  const known = cluster({ published: material.certificate });
  return { ...served, debug: debugOf(known, served.port, { ...more, limits: { ...usual, ...limits } }) };
}

test("a pilot is asked at its IPv6 address", async (context) => {
  const material = await issued(ownName);
  const { port } = await serveDebug(context, material, (name) => name, "::1");
  const debug = debugOf(cluster({ published: material.certificate }), port);
  assert.equal(await debug.ask({ ...pilot, address: "::1" }, "/debug/syncz"), "syncz");
  const silent = createServer().listen(0, "::1");
  context.after(() => silent.close());
  await once(silent, "listening");
  const { port: closed } = silent.address() as AddressInfo;
  silent.close();
  const other = debugOf(cluster({ published: material.certificate }), closed);
  await assert.rejects(other.ask({ ...pilot, address: "::1" }, "/debug/syncz"), {
    message: `nothing listens on [::1]:${closed} (ECONNREFUSED)`,
  });
});

test("questions one after the other share a stream, because upstream's pilots limit how many open in a second", async (context) => {
  const { debug, streams, asked } = await world(context, (name) => name);
  for (let index = 0; index < 20; index += 1) assert.equal(await debug.ask(pilot, `/debug/${index}`), String(index));
  assert.deepEqual([streams.length, asked.length], [1, 20]);
});

test("a slow page delays no other question, and its own error says that it was slow", async (context) => {
  const clock = new HandClock();
  const page = (name: string): string | undefined => (name === "slow" ? undefined : name);
  const { debug, connections, streams, asked } = await world(context, page, { silenceMs: 1500 }, { clock });
  await debug.ask(pilot, "/debug/first");
  const slow = debug.ask(pilot, "/debug/slow");
  const failed = assert.rejects(slow, { code: "pod-unreachable", message: /:\d+ did not answer in 1500 ms$/ });
  const others = Array.from({ length: 9 }, async (_, index) => await debug.ask(pilot, `/debug/${index}`));
  assert.deepEqual(await Promise.all(others), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
  await until(() => asked.includes("slow"));
  await passing(clock, 1500);
  await failed;
  assert.equal(await debug.ask(pilot, "/debug/last"), "last");
  assert.equal(connections.size, 1, "the connection is alive");
  assert.ok(streams.length <= 4, `${streams.length} streams`);
});

test("a mesh of many gateways may ask hundreds of questions at once", async (context) => {
  const { debug, streams } = await world(context, (name) => name);
  const names = Array.from({ length: 300 }, (_, index) => `serin/acknowledged?name=${index}`);
  assert.deepEqual(await Promise.all(names.map(async (name) => await debug.ask(pilot, `/debug/${name}`))), names);
  assert.ok(streams.length <= 4, `${streams.length} streams`);
});

test("a connection without a sign of life ends after an unanswered question, and another one follows", async (context) => {
  const material = await issued(ownName);
  const { port, connections } = await serveDebug(context, material, (name) => name);
  const relays = new Set<Socket>();
  const relay = createServer((socket) => {
    const onward = connect(port, "127.0.0.1");
    for (const end of [socket, onward]) relays.add(end.on("error", () => undefined));
    socket.pipe(onward).pipe(socket);
  }).listen(0, "127.0.0.1");
  context.after(() => {
    relay.close();
    for (const end of relays) end.destroy();
  });
  await once(relay, "listening");
  const limits = { ...usual, silenceMs: 1500, pingMs: 1000 };
  const known = cluster({ published: material.certificate });
  const clock = new HandClock();
  const debug = debugOf(known, (relay.address() as AddressInfo).port, { limits, clock });
  await debug.ask(pilot, "/debug/first");
  // From here on, the connection passes no more data, as after the loss of a node.
  for (const end of relays) end.unpipe().pause();
  const lost = assert.rejects(debug.ask(pilot, "/debug/lost"), { message: /did not answer in 1500 ms$/ });
  await passing(clock, 1500);
  await lost;
  // This request is pending when the connection ends.
  const other = debug.ask(pilot, "/debug/other");
  await passing(clock, 1000);
  assert.equal(await other, "other");
  assert.equal(connections.size, 2);
});

test("a pilot that ends a connection, as after its maximum age, is asked on another one", async (context) => {
  const { debug, connections } = await world(context, (name) => name);
  assert.equal(await debug.ask(pilot, "/debug/first"), "first");
  for (const connection of connections) connection.goaway();
  await until(async () => {
    assert.equal(await debug.ask(pilot, "/debug/second"), "second");
    return connections.size === 2;
  });
  for (const connection of connections) connection.destroy();
  // The engine may not have noticed yet that the connection has ended.
  assert.equal(await debug.ask(pilot, "/debug/third"), "third");
  assert.equal(connections.size, 3);
});

test("a pilot that ends only the stream is asked on another one", async (context) => {
  const { debug, connections, streams } = await world(context, (name) => name);
  assert.equal(await debug.ask(pilot, "/debug/first"), "first");
  streams[0]?.end();
  assert.equal(await debug.ask(pilot, "/debug/second"), "second");
  assert.deepEqual([connections.size, streams.length], [1, 2]);
});

test("an idle connection ends, and so does one whose server speaks another protocol", async (context) => {
  const clock = new HandClock();
  const { debug, connections } = await world(context, (name) => name, {}, { clock });
  await debug.ask(pilot, "/debug/first");
  const [connection] = connections;
  clock.pass(usual.idleMs);
  if (connection?.destroyed !== true) await untilClosed(connection!);
  assert.equal(await debug.ask(pilot, "/debug/second"), "second");

  const material = await issued(ownName);
  let open = 0;
  const server = createTlsServer({ cert: material.certificate, key: material.privateKey }, (socket) => {
    open += 1;
    socket.on("error", () => undefined).on("close", () => (open -= 1));
  }).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const other = debugOf(cluster({ published: material.certificate }), (server.address() as AddressInfo).port);
  for (let index = 0; index < 5; index += 1)
    await assert.rejects(other.ask(pilot, "/debug/syncz"), { message: /does not speak HTTP\/2$/ });
  await until(() => open === 0);
});

test("the time of a slow API server does not count as the pilot's silence, and makes no page a slow one", async (context) => {
  const material = await issued(ownName);
  const { port, asked } = await serveDebug(context, material, (name) => (name === "page?never" ? undefined : name));
  const [clock, gate] = [new HandClock(), Promise.withResolvers<void>()];
  const known = cluster({ published: material.certificate, answers: gate.promise });
  const debug = debugOf(known, port, { clock });
  const first = debug.ask(pilot, "/debug/page?1");
  await passing(clock, 2500);
  gate.resolve();
  assert.equal(await first, "page?1");
  const never = assert.rejects(debug.ask(pilot, "/debug/page?never"), { message: /has not answered for 2000 ms$/ });
  await until(() => asked.includes("page?never"));
  await passing(clock, 2000);
  await never;
});

test("callers wait a short time for a silent pilot, and longer for a page that has come late", async (context) => {
  let gate = Promise.withResolvers<void>();
  const page = async (name: string): Promise<string | undefined> => {
    if (name !== "quick") await gate.promise;
    return name === "page?never" ? undefined : name;
  };
  const clock = new HandClock();
  const { debug, asked } = await world(context, page, { patienceMs: 1000, silenceMs: 4000 }, { clock });
  /** Requests a page, and lets time pass after the pilot has got the request. */
  const askFor = async (name: string, ms: number): Promise<{ readonly answer: Promise<string> }> => {
    const answer = debug.ask(pilot, `/debug/${name}`);
    answer.catch(() => undefined);
    await until(() => asked.includes(name));
    await passing(clock, ms);
    return { answer };
  };
  // Resolves when the late answer of a page has arrived: the answer to a later request on the connection comes after
  // it.
  const served = async (): Promise<void> => {
    gate.resolve();
    assert.equal(await debug.ask(pilot, "/debug/quick"), "quick");
    gate = Promise.withResolvers();
  };
  await debug.ask(pilot, "/debug/quick");
  const tooLate = { code: "pod-unreachable", message: /has not answered for 1000 ms$/ };
  await assert.rejects((await askFor("page?1", 1000)).answer, tooLate);
  await served();
  const patient = await askFor("page?2", 1500);
  await served();
  assert.equal(await patient.answer, "page?2", "it is alive and busy");
  const never = await askFor("page?never", 4000);
  await assert.rejects(never.answer, { message: /did not answer in 4000 ms$/ });
  await assert.rejects((await askFor("page?3", 1000)).answer, tooLate);
  await served();
  const again = await askFor("page?4", 1500);
  await served();
  assert.equal(await again.answer, "page?4");
});
