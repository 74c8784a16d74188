import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as send, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { inTurns } from "./index.ts";
import { Turns } from "./turns.ts";

type Listener = Parameters<typeof inTurns>[0];

async function serve(context: TestContext, listener: Listener, maxUnreadBytes?: number): Promise<number> {
  const server: Server = createServer(inTurns(listener, maxUnreadBytes)).listen(0, "0.0.0.0");
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
  const turns = new Turns();
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
  const turns = new Turns();
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
  const turns = new Turns();
  for (let index = 0; index < 256; index += 1) void turns.take("flood");
  assert.equal(turns.take("flood"), undefined);
  await turns.take("other");
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
  // All are accepted before, which takes a round of the event loop for each.
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

test("answers that nobody reads cost their client its connections, and others nothing", async (context) => {
  const body = Buffer.alloc(16 << 20);
  const responses: ServerResponse[] = [];
  const port = await serve(
    context,
    (_request, response) => {
      responses.push(response);
      response.end(body);
    },
    40 << 20,
  );
  const honest = await connected(context, port, "127.0.0.3");
  honest.pause().write(request);
  const floods = await Promise.all(Array.from({ length: 6 }, async () => await connected(context, port, "127.0.0.2")));
  for (const flood of floods) flood.pause().write(request);
  while (responses.length < 7) await new Promise((resolve) => setImmediate(resolve));
  const held = responses.reduce(
    (sum, { socket }) => sum + (socket?.destroyed === false ? socket.writableLength : 0),
    0,
  );
  assert.ok(held <= 40 << 20, `${held} bytes are held`);
  assert.equal(responses.filter(({ socket }) => socket?.destroyed !== false).length >= 4, true);
  assert.equal(responses[0]?.socket?.destroyed, false);
});
