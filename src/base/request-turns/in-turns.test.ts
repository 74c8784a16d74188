import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as send, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { HandClock, until } from "../testing/index.ts";
import { inTurns, type TurnOptions } from "./in-turns.ts";
import { Turns } from "./turns.ts";

type Listener = Parameters<typeof inTurns>[0];

async function serve(context: TestContext, listener: Listener, options?: TurnOptions): Promise<number> {
  const server: Server = createServer(inTurns(listener, options)).listen(0, "0.0.0.0");
  context.after(() => server.close().closeAllConnections());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function connected(context: TestContext, port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  socket.on("error", () => undefined);
  context.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function get(port: number, localAddress: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    send({ port, host: "127.0.0.1", localAddress, agent: false }, (response) => {
      resolve(response.statusCode ?? 0);
      response.resume();
    })
      .on("error", reject)
      .end();
  });
}

const request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

test("a caller that comes during the turn of another one gets the next turn", async () => {
  const turns = new Turns(new HandClock());
  const order: string[] = [];
  const begin = async (caller: string): Promise<void> => {
    await turns.take(caller);
    order.push(caller);
  };
  const flood = ["flood", "flood", "flood"].map(begin);
  await flood[0];
  await Promise.all([...flood, begin("other")]);
  assert.deepEqual(order, ["flood", "other", "flood", "flood"]);
});

test("callers take turns, and every third round of the event loop gives one", async () => {
  const turns = new Turns(new HandClock());
  const order: string[] = [];
  let rounds = 0;
  const count = (): void => {
    rounds += 1;
    if (order.length < 5) setImmediate(count);
  };
  setImmediate(count);
  const begun = ["flood", "flood", "flood", "other", "flood"].map(async (caller) => {
    await turns.take(caller);
    order.push(`${caller} ${rounds}`);
  });
  await Promise.all(begun);
  assert.deepEqual(order, ["flood 3", "other 6", "flood 9", "flood 12", "flood 15"]);
});

test("a caller with too many waiting requests gets no further turn", async () => {
  const turns = new Turns(new HandClock());
  for (let index = 0; index < 256; index += 1) void turns.take("flood");
  assert.equal(turns.take("flood"), undefined);
  await turns.take("other");
});

test("a caller with little used time gets the turn before callers with long turns", async () => {
  const clock = new HandClock();
  const turns = new Turns(clock);
  const order: string[] = [];
  const query = async (caller: string): Promise<void> => {
    await turns.take(caller);
    order.push(caller);
    clock.pass(2_000);
  };
  const callers = ["one", "two", "three", "four", "five", "six"];
  await Promise.all(callers.map(query));
  const again = callers.map(query);
  await again[0];
  await Promise.all([...again, turns.take("probe")?.then(() => order.push("probe"))]);
  assert.deepEqual(order, [...callers, "one", "probe", "two", "three", "four", "five", "six"]);
});

test("newcomers delay a caller with used time, but not for ever", async () => {
  const clock = new HandClock();
  const turns = new Turns(clock);
  await turns.take("known");
  clock.pass(10);
  await new Promise((resolve) => setImmediate(resolve));
  let newcomers = 0;
  const given: string[] = [];
  const known = turns.take("known")?.then(() => given.push("known"));
  const more = async (): Promise<void> => {
    while (given.length === 0 && newcomers < 1_000) {
      await turns.take(`newcomer ${(newcomers += 1)}`);
      clock.pass(10);
    }
  };
  await Promise.all([known, more(), more()]);
  assert.ok(newcomers > 2 && newcomers < 100, `${newcomers} newcomers were before`);
});

test("many requests at once delay another client by one of them", async (context) => {
  let answered = 0;
  const port = await serve(context, (_request, response) => {
    answered += 1;
    response.end("x");
  });
  const accepted = async (localAddress: string): Promise<Socket> => {
    const socket = await connected(context, port, localAddress);
    socket.write(request);
    await once(socket, "data");
    return socket;
  };
  // Accept all connections first, because each takes a round of the event loop.
  const floods = await Promise.all(Array.from({ length: 50 }, async () => await accepted("127.0.0.2")));
  const bystander = await accepted("127.0.0.3");
  answered = 0;
  for (const flood of floods) flood.write(request);
  bystander.write(request);
  await once(bystander, "data");
  assert.ok(answered < 25, `${answered} were answered before`);
});

test("a client that pipelines too many requests is disconnected", async (context) => {
  const port = await serve(context, (_request, response) => void response.end("x"));
  const flood = await connected(context, port, "127.0.0.2");
  flood.resume();
  flood.write(request.repeat(2_000));
  await once(flood, "close");
  assert.equal(await get(port, "127.0.0.2"), 200);
});

interface Served {
  readonly port: number;
  readonly clock: HandClock;
  readonly responses: ServerResponse[];
  /** Sends a request and waits until its answer has been written. */
  readonly ask: (client: Socket) => Promise<Socket>;
  readonly look: () => void;
}

async function serveLarge(context: TestContext, bodyBytes: number, maxUnreadBytes: number): Promise<Served> {
  const body = Buffer.alloc(bodyBytes);
  const responses: ServerResponse[] = [];
  const clock = new HandClock();
  const port = await serve(
    context,
    (_request, response) => {
      responses.push(response);
      response.end(body);
    },
    { maxUnreadBytes, clock },
  );
  const ask = async (client: Socket): Promise<Socket> => {
    const before = responses.length;
    client.write(request);
    await until(() => responses.length !== before);
    const socket = responses.at(-1)?.socket;
    assert.ok(socket);
    return socket;
  };
  return { port, clock, responses, ask, look: () => clock.pass(3_000) };
}

async function read(client: Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const chunk = client.read() as Buffer | null;
    if (chunk === null && client.closed) throw new Error(`the connection ended ${left} bytes early`);
    if (chunk === null) await new Promise((resolve) => setImmediate(resolve));
    else left -= chunk.length;
  }
}

const megabyte = 1 << 20;

test("answers that nobody reads cost their client its connections but one, and others nothing", async (context) => {
  const { port, ask, look } = await serveLarge(context, 16 * megabyte, 40 * megabyte);
  const honest = await ask((await connected(context, port, "127.0.0.3")).pause());
  const floods: Socket[] = [];
  for (let index = 0; index < 6; index += 1)
    floods.push(await ask((await connected(context, port, "127.0.0.2")).pause()));
  for (let index = 0; index < 4; index += 1) look();
  assert.deepEqual(
    floods.map(({ destroyed }) => destroyed),
    [true, true, true, true, true, false],
  );
  assert.equal(honest.destroyed, false);
});

test("an answer above the limit reaches a client that reads it", async (context) => {
  const { port, ask, look } = await serveLarge(context, 48 * megabyte, megabyte);
  const client = (await connected(context, port, "127.0.0.2")).pause();
  const other = (await connected(context, port, "127.0.0.2")).pause();
  const stalled = await ask(other);
  const reading = await ask(client);
  for (let part = 0; part < 4; part += 1) {
    look();
    await read(client, 10 * megabyte);
  }
  assert.equal(reading.destroyed, false);
  assert.equal(stalled.destroyed, true);
});

test("unread answers of many clients take at most four times the limit", async (context) => {
  const { port, ask } = await serveLarge(context, 8 * megabyte, 8 * megabyte);
  const sockets: Socket[] = [];
  for (let index = 0; index < 10; index += 1)
    sockets.push(await ask((await connected(context, port, `127.0.0.${2 + index}`)).pause()));
  const held = sockets.reduce((sum, { destroyed, writableLength }) => sum + (destroyed ? 0 : writableLength), 0);
  assert.ok(held <= 32 * megabyte, `${held} bytes are held`);
  assert.equal(sockets.at(-1)?.destroyed, false);
});

test("a client loses its connection if it reads nothing for two minutes after the answer, however late that came", async (context) => {
  const clock = new HandClock();
  const answers: (() => void)[] = [];
  let socket: Socket | undefined;
  const port = await serve(
    context,
    (incoming, response) => {
      ({ socket } = incoming);
      answers.push(() => void response.end(Buffer.alloc(16 * megabyte)));
    },
    { clock },
  );
  const client = (await connected(context, port, "127.0.0.2")).pause();
  client.write(request);
  await until(() => answers.length !== 0);
  clock.pass(600_000);
  assert.equal(socket?.destroyed, false);
  answers[0]?.();
  for (let index = 0; index < 40; index += 1) {
    assert.equal(socket?.destroyed, false);
    clock.pass(3_000);
    // The client reads its first bytes after the first check.
    if (index === 0) await read(client, megabyte);
  }
  for (let index = 0; index < 2; index += 1) clock.pass(3_000);
  assert.equal(socket?.destroyed, true);
});

test("large answers on one connection add no listeners to it", async (context) => {
  const { port, ask, clock } = await serveLarge(context, 8 * megabyte, 64 * megabyte);
  const client = (await connected(context, port, "127.0.0.2")).pause();
  const counts: number[] = [];
  for (let index = 0; index < 3; index += 1) {
    const socket = await ask(client);
    await read(client, 8 * megabyte);
    counts.push(socket.listenerCount("close"));
  }
  assert.deepEqual(counts, [counts[0], counts[0], counts[0]]);
  await until(() => clock.timers === 0);
});
