import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import {
  bindUdpInNamespace,
  connectTcp,
  listenTcpInNamespace,
  type ByteStream,
  type ByteStreamHandler,
} from "../../net/index.ts";
import { withLength } from "../../net/dns/index.ts";
import { freePort, Recorder } from "../../net/testing/index.ts";
import { serveDnsConnection, serveDnsTcp, serveDnsUdp } from "./dns-listener.ts";

/** A connection whose client reads only when the test says so. */
class FakeStream {
  handler: ByteStreamHandler | undefined;
  readonly written: string[] = [];
  isRead = false;
  hasRoom = false;
  hasEnded = false;

  get stream(): ByteStream {
    const stream: Partial<ByteStream> = {
      setHandler: (handler) => void (this.handler = handler),
      pause: () => void (this.isRead = false),
      resume: () => void (this.isRead = true),
      end: () => void (this.hasEnded = true),
      write: (message) => {
        this.written.push(Buffer.from(message.subarray(2)).toString());
        return this.hasRoom;
      },
    };
    return stream as ByteStream;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("a closed listener still answers the queries that it has read", async () => {
  const finder = createSocket("udp4").bind(0, "127.0.0.1");
  await once(finder, "listening");
  const { port } = finder.address();
  finder.close();
  await once(finder, "close");
  const fd = bindUdpInNamespace(undefined, { address: "127.0.0.1", port, reusePort: false });
  const queried = Promise.withResolvers<Buffer>();
  const answered = Promise.withResolvers<Buffer>();
  const read = async (query: Buffer): Promise<Buffer> => {
    queried.resolve(query);
    return await answered.promise;
  };
  const listener = await serveDnsUdp(fd, false, read, createLogger({ scope: "test", level: "error" }));
  const client = createSocket("udp4");
  client.send("query", port, "127.0.0.1");
  assert.equal(String(await queried.promise), "query");
  listener.close();
  let hasEnded = false;
  void listener.ended.then(() => (hasEnded = true));
  await turn();
  assert.equal(hasEnded, false);
  answered.resolve(Buffer.from("answer"));
  const [answer] = (await once(client, "message")) as [Buffer];
  assert.equal(String(answer), "answer");
  await listener.ended;
  client.close();
});

test("a closed listener answers a connection's query that it has read, and ends this connection and idle ones", async () => {
  const port = await freePort("127.0.0.1");
  const fd = listenTcpInNamespace(undefined, { address: "127.0.0.1", port });
  const [asked, mayAnswer] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const answer = async (query: Buffer): Promise<Buffer> => {
    if (String(query) === "first") return query;
    asked.resolve(undefined);
    await mayAnswer.promise;
    return Buffer.from("answer");
  };
  const listener = await serveDnsTcp({ fd }, answer, () => ({ [Symbol.dispose]: () => undefined }));
  const [idle, busy] = await Promise.all(
    [0, 1].map(async () => await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5_000 })),
  );
  assert.ok(idle !== undefined && busy !== undefined);
  const [ofIdle, ofBusy] = [new Recorder(idle), new Recorder(busy)];
  idle.write(withLength(Buffer.from("first")));
  await ofIdle.received(7);
  busy.write(withLength(Buffer.from("second")));
  await asked.promise;
  listener.close();
  let hasEnded = false;
  void listener.ended.then(() => (hasEnded = true));
  await ofIdle.ended;
  idle.end();
  await ofIdle.closed;
  assert.equal(hasEnded, false);
  mayAnswer.resolve(undefined);
  assert.equal(String((await ofBusy.ended).subarray(2)), "answer");
  busy.end();
  await listener.ended;
});

test("no further query is read from a client before it has read the previous answer", async () => {
  const asked: string[] = [];
  const client = new FakeStream();
  const answer = async (query: Buffer): Promise<Buffer> => {
    asked.push(String(query));
    return await Promise.resolve(query);
  };
  let places = 1;
  serveDnsConnection(client.stream, answer, { [Symbol.dispose]: () => void (places -= 1) });
  client.handler?.data(Buffer.concat(["one", "two", "three"].map((text) => withLength(Buffer.from(text)))));
  await turn();
  assert.deepEqual([asked, client.written, client.isRead], [["one"], ["one"], false]);
  client.handler?.drain();
  await turn();
  assert.deepEqual([asked, client.written, client.isRead], [["one", "two"], ["one", "two"], false]);
  client.hasRoom = true;
  client.handler?.drain();
  await turn();
  assert.deepEqual([asked.length, client.written.at(-1), client.isRead], [3, "three", true]);
  client.handler?.end();
  assert.deepEqual([client.hasEnded, places], [true, 1]);
  client.handler?.close(undefined);
  assert.equal(places, 0);
});

test("a client that ends its side behind its query still gets the answer", async () => {
  const port = await freePort("127.0.0.1");
  const fd = listenTcpInNamespace(undefined, { address: "127.0.0.1", port });
  const [asked, mayAnswer] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const answer = async (): Promise<Buffer> => {
    asked.resolve(undefined);
    await mayAnswer.promise;
    return Buffer.from("answer");
  };
  const listener = await serveDnsTcp({ fd }, answer, () => ({ [Symbol.dispose]: () => undefined }));
  const client = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5_000 });
  const received: Buffer[] = [];
  const closed = Promise.withResolvers<Error | undefined>();
  client.setHandler({
    data: (chunk) => void received.push(Buffer.from(chunk)),
    end() {},
    drain() {},
    close: (error) => closed.resolve(error),
  });
  client.resume();
  client.write(withLength(Buffer.from("query")));
  client.end();
  await asked.promise;
  // If the listener read again in these turns, it would find the end of the stream.
  for (let count = 0; count < 20; count += 1) await turn();
  mayAnswer.resolve(undefined);
  assert.equal(await closed.promise, undefined);
  assert.equal(String(Buffer.concat(received).subarray(2)), "answer");
  listener.close();
});
