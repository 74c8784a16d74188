import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { maxIdleMs, PodConnections } from "./pod-connections.ts";

interface Pod extends AsyncDisposable {
  readonly port: number;
  /** How many connections were ever opened. */
  readonly connections: () => number;
  readonly open: () => number;
}

/** Serves a pod. `answer` writes the answers. It gets the number of the request on its connection, from 1. */
async function servePod(answer: (socket: Socket, request: number, text: string) => void): Promise<Pod> {
  let made = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    made += 1;
    open.add(socket);
    let request = 0;
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
    socket.on("data", (bytes) => answer(socket, (request += 1), bytes.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const stop = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, connections: () => made, open: () => open.size, [Symbol.asyncDispose]: stop };
}

async function get(
  pods: PodConnections,
  port: number,
  path = "/stats",
): Promise<{ readonly status: number; readonly text: string }> {
  const ended = AbortSignal.timeout(30_000);
  return await pods.ask({ namespace: "shop", pod: "web", ip: "127.0.0.1", port }, path, ended);
}

const fixed = (body: string): string => `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test("answers with a length, in chunks, until the end, and without a body are read over kept connections", async () => {
  const chunked =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nt: 1\r\n\r\n";
  await using pod = await servePod((socket, request) => {
    if (request === 1) socket.write(fixed("größe"));
    else if (request === 2) for (const byte of chunked) socket.write(byte);
    else if (request === 3) socket.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    else socket.end("HTTP/1.1 503 No\r\n\r\nnot now");
  });
  const pods = new PodConnections(systemClock);
  const answers = [];
  for (let request = 0; request < 4; request += 1) answers.push(await get(pods, pod.port));
  assert.deepEqual(answers, [
    { status: 200, text: "größe" },
    { status: 200, text: "hello world" },
    { status: 204, text: "" },
    { status: 503, text: "not now" },
  ]);
  assert.equal(pod.connections(), 1);
  await get(pods, pod.port);
  assert.equal(pod.connections(), 2);
  pods.close();
});

test("a reader gets the whole body as bytes, whatever its length, and concurrent bodies do not mix", async () => {
  await using pod = await servePod((socket, _request, text) => socket.write(fixed(text.slice(5, 6).repeat(300_000))));
  const pods = new PodConnections(systemClock);
  const read = await Promise.all(
    ["a", "b", "c", "d"].map(async (letter) => {
      let body = "";
      const { status, text } = await pods.ask(
        { namespace: "", pod: "", ip: "127.0.0.1", port: pod.port },
        `/${letter}`,
        AbortSignal.timeout(30_000),
        (bytes) => (body = bytes.toString()),
      );
      return [status, text, body === letter.repeat(300_000)];
    }),
  );
  assert.deepEqual(
    read,
    Array.from({ length: 4 }, () => [200, "", true]),
  );
  pods.close();
});

test("a connection that closed while idle is reopened, and one that breaks within an answer is an error", async () => {
  await using pod = await servePod((socket, request) => {
    if (request === 1) socket.write(fixed("one"));
    else socket.destroy();
  });
  const pods = new PodConnections(systemClock);
  for (let time = 0; time < 3; time += 1) assert.equal((await get(pods, pod.port)).text, "one");
  await using broken = await servePod((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"));
  await assert.rejects(
    get(pods, broken.port),
    /does not answer: the connection was closed in the middle of the answer/,
  );
  pods.close();
});

test("malformed, oversized, endless and unsolicited answers are refused, and an invalid path is not sent", async () => {
  const pods = new PodConnections(systemClock);
  await using garbage = await servePod((socket) => socket.write("\u0000\u0001 garbage\r\n\r\n"));
  await assert.rejects(get(pods, garbage.port), { kind: "transient", code: "pod-unreachable" });
  await using long = await servePod((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\n\r\n`);
    for (let part = 0; part < 20; part += 1) socket.write(Buffer.alloc(1 << 20));
  });
  await assert.rejects(get(pods, long.port), /more than 16777216 bytes/);
  await using silent = await servePod(() => undefined);
  const ending = new AbortController();
  setImmediate(() => ending.abort(new Error("enough")));
  await assert.rejects(
    pods.ask({ namespace: "", pod: "", ip: "127.0.0.1", port: silent.port }, "/", ending.signal),
    /enough/,
  );
  await using chatty = await servePod((socket) => socket.write(`${fixed("one")}${fixed("two")}`));
  assert.equal((await get(pods, chatty.port)).text, "one");
  assert.equal((await get(pods, chatty.port)).text, "one");
  assert.equal(chatty.connections(), 2);
  await assert.rejects(get(pods, chatty.port, "/a\r\nx: y"), /not the path of a request/);
  pods.close();
});

test("an idle connection is closed after its time, unless it was used since", async () => {
  const clock = new HandClock();
  const pods = new PodConnections(clock);
  const answer = (socket: Socket): void => void socket.write(fixed("one"));
  await using seldom = await servePod(answer);
  await using often = await servePod(answer);
  await Promise.all([get(pods, seldom.port), get(pods, often.port)]);
  assert.equal(pods.idle, 2);
  clock.pass(maxIdleMs - 1);
  await get(pods, often.port);
  assert.deepEqual([pods.idle, often.connections()], [2, 1]);
  clock.pass(1);
  assert.equal(pods.idle, 1);
  await until(() => seldom.open() === 0);
  assert.deepEqual([often.open(), await get(pods, seldom.port)], [1, { status: 200, text: "one" }]);
  assert.equal(seldom.connections(), 2);
  clock.pass(maxIdleMs - 1);
  assert.equal(pods.idle, 1);
  clock.pass(1);
  assert.equal(pods.idle, 0);
  pods.close();
});
