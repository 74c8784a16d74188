import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { hpackEncode, setting } from "../../../wire/http2/index.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus } from "./grpc-status.ts";
import { FrameClient, framed, path, requestFields, TestOwner, turn } from "./testing/frame-client.ts";

/** Answers each request with its own text, and records the requests. */
function echo() {
  const events: string[] = [];
  const calls: GrpcCall[] = [];
  const owner = new TestOwner((call) => {
    calls.push(call);
    call.start({
      message: (bytes) => {
        events.push(`message ${bytes.length > 40 ? bytes.length : bytes.toString()}`);
        if (bytes.length <= 40) call.write([Buffer.from("so: "), Buffer.from(bytes)]);
      },
      ended: () => {
        events.push("ended");
        call.end();
      },
      drained: () => events.push("drained"),
      failed: (error) => {
        events.push(`failed ${error.code}`);
        call.end(grpcStatus.resourceExhausted, error.message);
      },
      closed: () => events.push("closed"),
    });
  });
  return { owner, events, calls };
}

/** A connection whose first frames were exchanged. */
async function greeted(owner: TestOwner, settings: readonly (readonly [number, number])[] = []): Promise<FrameClient> {
  const client = new FrameClient(owner, settings);
  client.send();
  await client.takeFrames();
  return client;
}

test("a connection begins with our settings, a large window, and an acknowledgement of the client's", async () => {
  const client = new FrameClient(echo().owner);
  client.send();
  assert.deepEqual(await client.takeFrames(), [
    `settings 3=100 4=${grpcLimits.streamWindowBytes} 6=65536`,
    `window 0 ${grpcLimits.connectionWindowBytes - 65_535}`,
    "settings ack",
  ]);
  client.writer.ping(Buffer.from("12345678"), false);
  client.send();
  assert.deepEqual(await client.takeFrames(), ["ping ack 12345678"]);
});

test("a call that arrives byte by byte, with CONTINUATION frames, gets the same answer as one that arrives at once", async () => {
  for (const size of [1, 7, Infinity]) {
    const { owner, events } = echo();
    const client = await greeted(owner);
    client.writer.headers(1, hpackEncode(requestFields), false, 20);
    client.request(1, "one");
    client.request(1, "two", true);
    client.send(undefined, size);
    assert.deepEqual(
      (await client.takeFrames()).filter((event) => !event.startsWith("data")),
      ["headers 1 :status 200", "headers 1 grpc-status 0 end"],
    );
    assert.deepEqual(client.received.bodies.get(1), Buffer.concat([framed("so: one"), framed("so: two")]));
    assert.deepEqual(events, ["message one", "message two", "ended", "closed"]);
  }
});

test("writes of one event-loop turn leave in one write", async () => {
  const { owner, calls } = echo();
  const client = await greeted(owner);
  client.head(1);
  client.send();
  await turn();
  const before = client.pipe.written.length;
  for (const text of ["a", "b", "c"]) calls[0]?.write([Buffer.from(text)]);
  await turn();
  assert.equal(client.pipe.written.length, before + 1);
});

test("a large message goes to all clients without a copy, in frames of each client's maximum size", async () => {
  const { owner, calls } = echo();
  const shared = Buffer.alloc(65_536 * 15, "x");
  const settings = [
    [setting.initialWindowSize, 2_000_000],
    [setting.maxFrameSize, 1 << 20],
  ] as const;
  const clients = [await greeted(owner, settings), await greeted(owner, settings)];
  for (const client of clients) {
    client.writer.windowUpdate(0, 2_000_000);
    client.head(1);
    client.send();
    client.pipe.shared = shared;
  }
  for (const call of calls) assert.equal(call.write([Buffer.from("head"), shared]), true);
  await turn();
  for (const client of clients) {
    const pieces = client.pipe.written.filter((bytes) => bytes.buffer === shared.buffer);
    // The last piece is small enough to be copied.
    assert.ok(pieces.reduce((sum, bytes) => sum + bytes.length, 0) > shared.length - grpcLimits.copiedPartBytes);
    await client.takeFrames();
    assert.deepEqual(client.received.bodies.get(1), framed(Buffer.concat([Buffer.from("head"), shared])));
  }
});

test("a client with a closed window delays nobody, holds only one response, and gets the rest when it opens the window", async () => {
  const { owner, calls, events } = echo();
  const slow = await greeted(owner, [[setting.initialWindowSize, 10]]);
  slow.head(1);
  slow.send();
  const quick = await greeted(owner);
  quick.head(1);
  quick.send();
  await Promise.all([slow.takeFrames(), quick.takeFrames()]);
  const message = Buffer.alloc(1000, "y");
  assert.deepEqual(
    calls.map((call) => call.write([message])),
    [false, true],
  );
  assert.deepEqual(
    [await slow.takeFrames(), await quick.takeFrames()],
    [
      ["headers 1 :status 200", "data 1 10"],
      ["headers 1 :status 200", "data 1 1005"],
    ],
  );
  slow.writer.windowUpdate(1, 500);
  slow.send();
  assert.deepEqual(await slow.takeFrames(), ["data 1 500"]);
  assert.deepEqual(events, []);
  // A larger initial window in SETTINGS also enlarges the windows of open streams.
  slow.writer.settings([[setting.initialWindowSize, 1000]]);
  slow.send();
  assert.deepEqual(await slow.takeFrames(), ["settings ack", "data 1 495"]);
  assert.deepEqual([events, slow.received.bodies.get(1)], [["drained"], framed(message)]);
});

test("a call that ends while its client reads nothing ends after its messages, or is reset after a time limit", async () => {
  const { owner, calls, events } = echo();
  for (const patient of [true, false]) {
    const client = await greeted(owner, [[setting.initialWindowSize, 0]]);
    client.head(1);
    client.send();
    const call = calls.at(-1);
    call?.write([Buffer.from("last words")]);
    call?.end(grpcStatus.unavailable, "over");
    assert.deepEqual([await client.takeFrames(), events.splice(0)], [["headers 1 :status 200"], ["closed"]]);
    if (patient) {
      client.writer.windowUpdate(1, 100);
      client.send();
      assert.deepEqual(await client.takeFrames(), [
        "data 1 15",
        "headers 1 grpc-status 14 grpc-message over end",
        "rst 1 NO_ERROR",
      ]);
    } else {
      for (let second = 0; second <= grpcLimits.endTimeoutMs / 1000; second += 1) client.connection.sweep(0);
      assert.deepEqual(await client.takeFrames(), ["rst 1 CANCEL"]);
    }
    assert.deepEqual([...client.connection.calls], []);
  }
});

test("a full socket buffer stops writers, and their output is sent when it drains", async () => {
  const { owner, calls, events } = echo();
  const client = await greeted(owner, [[setting.initialWindowSize, 10_000_000]]);
  client.writer.windowUpdate(0, 10_000_000);
  client.head(1);
  client.send();
  await client.takeFrames();
  client.pipe.stuck = true;
  assert.equal(calls[0]?.write([Buffer.alloc(3_000_000)]), false);
  await turn();
  assert.ok(
    client.pipe.bufferedBytes < grpcLimits.outputHighWaterBytes + grpcLimits.maxSentFrameBytes + 100,
    `${client.pipe.bufferedBytes}`,
  );
  while (events.length === 0) {
    client.pipe.drain();
    await turn();
  }
  await client.takeFrames();
  assert.deepEqual([events, client.received.bodies.get(1)?.length], [["drained"], 3_000_005]);
});

test("small requests cost no window update each: the window is reopened when half of it is used", async () => {
  const { owner } = echo();
  const client = await greeted(owner);
  client.head(1);
  for (let count = 0; count < 1000; count += 1) client.request(1, "acknowledgement".repeat(7));
  client.send();
  assert.deepEqual(
    (await client.takeFrames()).filter((event) => event.startsWith("window")),
    [],
  );
  for (let count = 0; count < 6; count += 1) client.request(1, "z".repeat(15_000));
  client.send();
  const opened = (await client.takeFrames()).filter((event) => event.startsWith("window"));
  assert.equal(opened.length, 1);
  assert.match(opened[0] ?? "", /^window 1 \d{6}$/);
});

test("an invalid call is answered with its fault", async () => {
  const cases: readonly (readonly [more: readonly string[], answer: string])[] = [
    [
      [":path", "/no.Service/Method"],
      `:status 200 grpc-status 12 grpc-message the server does not have the method /no.Service/Method`,
    ],
    [
      ["grpc-encoding", "snappy"],
      ":status 200 grpc-status 12 grpc-message requests may be compressed by identity,deflate,gzip, not by snappy",
    ],
    [
      ["grpc-timeout", "5 minutes"],
      ":status 200 grpc-status 13 grpc-message grpc-timeout must be 1 to 8 digits, followed by one of H, M, S, m, u, n",
    ],
    [["content-type", "application/json"], ":status 415"],
    [[":method", "GET"], ":status 405"],
  ];
  for (const [[name = "", value = ""], answer] of cases) {
    const client = await greeted(echo().owner);
    const at = requestFields.indexOf(name);
    client.head(1, at < 0 ? [name, value] : [], at < 0 ? requestFields : requestFields.with(at + 1, value), true);
    client.send();
    assert.deepEqual(await client.takeFrames(), [`headers 1 ${answer} end`]);
  }
});

test("an invalid header list ends only its own stream", async () => {
  const { owner } = echo();
  const client = await greeted(owner);
  const bad: readonly (readonly string[])[] = [
    [":method", "POST", ":path", path],
    [...requestFields, ":path", path],
    [...requestFields, "Upper", "case"],
    [...requestFields, "connection", "close"],
    [...requestFields, "te", "gzip"],
    [...requestFields, "x", "a\nb"],
    [":status", "200", ...requestFields],
  ];
  for (const [index, fields] of bad.entries()) client.head(1 + index * 2, [], fields);
  client.head(101);
  client.request(101, "fine");
  client.send();
  const expected = [
    ...bad.map((_, index) => `rst ${1 + index * 2} PROTOCOL_ERROR`),
    "headers 101 :status 200",
    `data 101 ${"so: fine".length + 5}`,
  ];
  assert.deepEqual(await client.takeFrames(), expected);
});

test("a compressed request is accepted if its call declared compression, and its decompressed size is bounded", async () => {
  const { owner, events } = echo();
  const client = await greeted(owner);
  const compressed = (text: string): Buffer => {
    const bytes = framed(gzipSync(text));
    bytes[0] = 1;
    return bytes;
  };
  client.head(1, ["grpc-encoding", "gzip"]);
  const [small, huge] = [compressed("small"), compressed("0".repeat(200_000))];
  client.writer.data(1, small, 0, small.length, false);
  client.request(1, "plain");
  client.writer.data(1, huge, 0, huge.length, false);
  client.head(3);
  client.writer.data(3, small, 0, small.length, false);
  client.send();
  const frames = await client.takeFrames();
  assert.deepEqual(events, [
    "message small",
    "message plain",
    "failed request-too-long",
    "closed",
    "failed bad-request",
    "closed",
  ]);
  assert.deepEqual(
    frames.filter((event) => event.includes("grpc-status")).map((event) => event.slice(0, 31)),
    ["headers 1 grpc-status 8 grpc-me", "headers 3 :status 200 grpc-stat"],
  );
});

test("a request that is too long or truncated ends its call with the reason", async () => {
  const { owner, events } = echo();
  const client = await greeted(owner);
  client.head(1);
  const long = framed("").fill(0xff, 1);
  client.writer.data(1, long, 0, long.length, false);
  client.head(3);
  const cut = framed("cut off").subarray(0, 8);
  client.writer.data(3, cut, 0, cut.length, true);
  client.send();
  const frames = await client.takeFrames();
  assert.match(
    frames[0] ?? "",
    /^headers 1 :status 200 grpc-status 8 grpc-message a request may have at most 100000 bytes, got 4294967295 end$/,
  );
  assert.deepEqual(frames.slice(1), [
    "rst 1 NO_ERROR",
    "headers 3 :status 200 grpc-status 13 grpc-message the client ended the call in the middle of a message end",
  ]);
  assert.deepEqual(events, ["failed request-too-long", "closed", "closed"]);
});

test("incomplete requests of a client's calls may take a share of the memory, and its further ones end with the reason", async () => {
  const { owner, events } = echo();
  const parts = framed(Buffer.alloc(90_000)).subarray(0, 30_000);
  const begin = async (client: FrameClient, id: number): Promise<void> => {
    client.head(id);
    for (let at = 0; at < parts.length; at += 15_000) client.writer.data(id, parts, at, at + 15_000, false);
    client.send();
    await client.takeFrames();
  };
  const [first, second] = [await greeted(owner), await greeted(owner)];
  await begin(first, 1);
  await begin(second, 1);
  assert.deepEqual(events, []);
  await begin(second, 3);
  assert.deepEqual(events, ["failed busy", "closed"]);
  first.writer.rstStream(1, 8);
  first.send();
  await begin(second, 5);
  assert.deepEqual(events, ["failed busy", "closed", "closed"]);
  second.writer.rstStream(1, 8);
  second.writer.rstStream(5, 8);
  second.send();
  assert.equal(owner.memory.share("10.0.0.1").set(75_000), true, "calls that ended keep nothing");
});

test("heads of calls without a request, and requests that wait for a handler, count as the memory of their client", async () => {
  const owner = new TestOwner(() => undefined);
  const client = await greeted(owner);
  const busy = "grpc-status 14 grpc-message too many requests from 10.0.0.1 wait for their end end";
  const ends = async (): Promise<readonly string[]> =>
    (await client.takeFrames()).filter((event) => !event.startsWith("window"));
  client.head(1, ["x-long", "x".repeat(40_000)]);
  client.send();
  assert.deepEqual(await ends(), []);
  client.head(3, ["x-long", "x".repeat(40_000)]);
  client.send();
  assert.deepEqual(await ends(), [`headers 3 :status 200 ${busy}`, "rst 3 NO_ERROR"]);
  // A thousand empty headers take more memory than their names.
  client.head(5, Array.from({ length: 1000 }, () => ["x", ""]).flat());
  client.head(7);
  client.request(7, "x".repeat(10_000));
  client.send();
  assert.deepEqual(await ends(), [`headers 7 :status 200 ${busy}`, "rst 7 NO_ERROR"]);
  for (const id of [1, 5]) client.writer.rstStream(id, 8);
  client.head(9);
  client.request(9, "x".repeat(10_000));
  client.send();
  assert.deepEqual(await ends(), []);
  client.writer.rstStream(9, 8);
  client.send();
  assert.equal(owner.memory.share("10.0.0.1").set(75_000), true, "calls that ended keep nothing");
});

test("data before a call is accepted waits within its window, and a call cancelled meanwhile is never delivered", async () => {
  const calls: GrpcCall[] = [];
  const owner = new TestOwner((call) => void calls.push(call), 1 << 20);
  const client = await greeted(owner);
  client.head(1);
  client.request(1, "early");
  client.request(1, "last", true);
  client.head(3);
  client.request(3, "withdrawn");
  client.writer.rstStream(3, 8);
  client.send();
  const events: string[] = [];
  for (const call of calls)
    call.start({
      message: (bytes) => events.push(bytes.toString()),
      ended: () => events.push("ended"),
      drained() {},
      failed() {},
      closed: () => events.push(`closed ${call.id}`),
    });
  assert.deepEqual(events, ["early", "last", "ended", "closed 3"]);
  client.head(5);
  const tooMuch = Buffer.alloc(16_384);
  for (let sent = 0; sent <= grpcLimits.streamWindowBytes; sent += tooMuch.length)
    client.writer.data(5, tooMuch, 0, tooMuch.length, false);
  client.send();
  assert.deepEqual(await client.takeFrames(), ["rst 5 FLOW_CONTROL_ERROR"]);
});

test("a timeout, a cancellation or a lost connection closes a call once", async () => {
  const { owner, events } = echo();
  const client = await greeted(owner);
  client.head(1, ["grpc-timeout", "2S"]);
  client.send();
  owner.clock.pass(2000);
  assert.deepEqual(await client.takeFrames(), [
    "headers 1 :status 200 grpc-status 4 grpc-message the call's deadline has passed end",
    "rst 1 NO_ERROR",
  ]);
  client.head(3, ["grpc-timeout", "1H"]);
  client.writer.rstStream(3, 8);
  client.head(5);
  client.send();
  client.pipe.handler?.close(new Error("gone"));
  assert.deepEqual([events, owner.closedBy, owner.clock.timers], [["closed", "closed", "closed"], ["gone"], 0]);
});

test("a connection has at most a hundred calls at a time", async () => {
  const { owner, calls } = echo();
  const client = await greeted(owner);
  for (let count = 0; count <= grpcLimits.maxStreams; count += 1) client.head(1 + count * 2);
  client.send();
  assert.deepEqual(
    [await client.takeFrames(), calls.length],
    [[`rst ${1 + grpcLimits.maxStreams * 2} REFUSED_STREAM`], grpcLimits.maxStreams],
  );
});

test("a client that floods with useless frames or cancelled calls is disconnected with the reason", async () => {
  const floods: readonly (readonly [
    put: (client: FrameClient, round: number) => void,
    rounds: number,
    reason: string,
  ])[] = [
    [({ writer }) => writer.ping(Buffer.alloc(8), false), 2010, "too many frames that make no progress"],
    [({ writer }) => writer.settings([]), 2010, "too many frames that make no progress"],
    [({ writer }) => writer.data(1, Buffer.alloc(0), 0, 0, false), 2010, "too many frames that make no progress"],
    [({ writer }) => writer.windowUpdate(0, 1), 2010, "too many frames that make no progress"],
    [
      (client, round) => {
        client.head(3 + round * 2);
        client.writer.rstStream(3 + round * 2, 8);
      },
      201,
      "too many calls that were cancelled",
    ],
  ];
  for (const [put, rounds, reason] of floods) {
    const { owner, events } = echo();
    const client = await greeted(owner);
    client.head(1);
    for (let round = 0; round < rounds; round += 1) put(client, round);
    client.send();
    const frames = await client.takeFrames();
    assert.match(frames.at(-1) ?? "", new RegExp(`^goaway \\d+ ENHANCE_YOUR_CALM: ${reason}$`));
    assert.equal(client.pipe.ended, true);
    assert.equal(events.at(-1), "closed");
    client.pipe.handler?.close(undefined);
    assert.deepEqual(owner.closedBy, [`ENHANCE_YOUR_CALM: ${reason}`]);
  }
});

test("a client whose calls must be reset, or whose request heads are malformed, is disconnected after few of them", async () => {
  const breaches: readonly ((client: FrameClient, id: number) => void)[] = [
    ({ writer }, id) => writer.windowUpdate(id, 2 ** 31 - 1),
    (client, id) => {
      client.request(id, "all", true);
      client.request(id, "more");
    },
    ({ writer }, id) => writer.headers(id, hpackEncode([":path", "/late"]), true, 16_384),
  ];
  for (const breach of breaches) {
    const calls: GrpcCall[] = [];
    const client = await greeted(new TestOwner((call) => void calls.push(call)));
    for (let id = 1; id < 2 * grpcLimits.wastedStreams; id += 2) {
      client.head(id);
      breach(client, id);
    }
    client.send();
    assert.match(
      (await client.takeFrames()).at(-1) ?? "",
      /^goaway \d+ ENHANCE_YOUR_CALM: too many calls that were reset because of what the peer sent$/,
    );
    assert.ok(calls.length <= grpcLimits.wastedStreams / 5, `${calls.length} calls`);
    assert.deepEqual([...client.connection.calls], []);
  }
  const { owner } = echo();
  const client = await greeted(owner);
  for (let id = 1; id < 2 * grpcLimits.wastedStreams; id += 2) client.head(id, ["connection", "close"]);
  client.send();
  assert.match((await client.takeFrames()).at(-1) ?? "", /^goaway \d+ ENHANCE_YOUR_CALM: /);
});

test("no further input is read from a client that was cut off and continues to send", async () => {
  const client = await greeted(echo().owner);
  client.writer.windowUpdate(0, 2 ** 31 - 1);
  client.send();
  assert.match((await client.takeFrames()).at(-1) ?? "", /^goaway 0 FLOW_CONTROL_ERROR/);
  for (let bytes = 0; bytes <= grpcLimits.maxDroppedBytes; bytes += 65_536) {
    assert.equal(client.pipe.isPaused, false);
    client.send(Buffer.alloc(65_536));
  }
  assert.equal(client.pipe.isPaused, true);
});

test("bytes that are not HTTP/2, or break its rules, end the connection by GOAWAY with the reason", async () => {
  const notHttp2 = new FrameClient(echo().owner);
  notHttp2.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
  assert.equal((await notHttp2.takeFrames()).at(-1), "goaway 0 PROTOCOL_ERROR: the client does not speak HTTP/2");
  const broken: readonly (readonly [put: (client: FrameClient) => void, reason: string])[] = [
    [
      ({ writer }) => writer.data(7, Buffer.from("x"), 0, 1, false),
      "PROTOCOL_ERROR: DATA on stream 7, which was never opened",
    ],
    [(client) => client.head(2), "PROTOCOL_ERROR: HEADERS on stream 2, which is not a client's"],
    [
      ({ writer }) => writer.windowUpdate(0, 2 ** 31 - 1),
      "FLOW_CONTROL_ERROR: the connection's window is above 2^31-1",
    ],
    [
      (client) => client.writer.headers(1, Buffer.alloc(70_000), false, 16_384),
      "ENHANCE_YOUR_CALM: a header block is larger than 65536 bytes",
    ],
  ];
  for (const [put, reason] of broken) {
    const client = await greeted(echo().owner);
    put(client);
    client.send();
    assert.deepEqual([(await client.takeFrames()).at(-1), client.pipe.ended], [`goaway 0 ${reason}`, true]);
  }
});

test("a client that is silent for half a minute gets a PING, and is disconnected without an answer", async () => {
  for (const alive of [true, false]) {
    const { owner } = echo();
    const client = await greeted(owner);
    const pass = (ms: number): void => {
      owner.clock.pass(ms);
      client.connection.sweep(owner.clock.steadyMs());
    };
    pass(grpcLimits.keepaliveMs - 1);
    assert.deepEqual(await client.takeFrames(), []);
    pass(1);
    assert.deepEqual(await client.takeFrames(), ["ping alive???"]);
    if (alive) {
      client.writer.ping(Buffer.from("alive???"), true);
      owner.clock.pass(1);
      client.send();
    }
    pass(grpcLimits.keepaliveTimeoutMs);
    assert.equal(client.pipe.destroyed, !alive);
    assert.deepEqual(owner.closedBy, alive ? [] : ["the client did not answer a PING within 10 s"]);
  }
});

test("a client whose connection waits for its turn is not silent, whatever it has sent meanwhile", async () => {
  const { owner } = echo();
  const client = await greeted(owner);
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      owner.clock.pass(1_000);
      client.connection.sweep(owner.clock.steadyMs());
    }
  };
  pass(grpcLimits.keepaliveMs / 1_000);
  assert.deepEqual(await client.takeFrames(), ["ping alive???"]);
  client.connection.pauseReading();
  pass(60);
  client.connection.resumeReading();
  pass(grpcLimits.keepaliveMs / 1_000 - 1);
  assert.deepEqual([await client.takeFrames(), client.pipe.destroyed], [[], false]);
});

test("a draining connection accepts calls until its client has seen GOAWAY, and ends with the last of them", async () => {
  const { owner } = echo();
  const client = await greeted(owner);
  client.head(1);
  client.send();
  client.connection.drain();
  assert.deepEqual(await client.takeFrames(), ["goaway 2147483647 NO_ERROR", "ping goaway!!"]);
  client.head(3);
  client.writer.ping(Buffer.from("goaway!!"), true);
  client.head(5);
  client.request(3, "in time", true);
  client.send();
  assert.deepEqual(await client.takeFrames(), [
    "goaway 3 NO_ERROR",
    "headers 3 :status 200",
    "data 3 16",
    "headers 3 grpc-status 0 end",
  ]);
  assert.equal(client.pipe.ended, false);
  client.request(1, "last", true);
  client.send();
  await client.takeFrames();
  assert.equal(client.pipe.ended, true);
});

test("a connection that has reached its age drains, and ten seconds later its calls end with the reason", async () => {
  const { owner, calls } = echo();
  owner.maxConnectionAgeMs = 10_000;
  for (const [random, ageMs] of [
    [0, 9000],
    [1, 11_000],
  ] as const) {
    owner.random = () => random;
    const client = await greeted(owner);
    client.head(1);
    client.send();
    await client.takeFrames();
    const startedMs = owner.clock.steadyMs();
    const after = async (ms: number): Promise<string> => {
      owner.clock.pass(startedMs + ms - owner.clock.steadyMs());
      client.connection.sweep(owner.clock.steadyMs());
      return (await client.takeFrames()).join();
    };
    assert.equal(await after(ageMs - 1000), "");
    assert.match(await after(ageMs), /^goaway/);
    assert.equal(calls.at(-1)?.isClosed, false);
    assert.match(await after(ageMs + grpcLimits.ageGraceMs), /the connection has reached its maximum age/);
  }
});

test("calls that the server ends get the reason, and then the connection ends", async () => {
  const { owner, events } = echo();
  const client = await greeted(owner);
  client.head(1);
  client.send();
  client.connection.endCalls(grpcStatus.unavailable, "stopping");
  assert.deepEqual(await client.takeFrames(), [
    "goaway 2147483647 NO_ERROR",
    "ping goaway!!",
    "goaway 1 NO_ERROR",
    "headers 1 :status 200 grpc-status 14 grpc-message stopping end",
    "rst 1 NO_ERROR",
  ]);
  assert.deepEqual([events, client.pipe.ended], [["closed"], true]);
  owner.clock.pass(grpcLimits.closeGraceMs);
  assert.equal(client.pipe.destroyed, true);
});

test("a client with a zero HPACK table gets a table size update before the next header block", async () => {
  const { owner, calls } = echo();
  const client = await greeted(owner, [[setting.headerTableSize, 0]]);
  client.head(1);
  client.send();
  calls[0]?.write([Buffer.from("x")]);
  await turn();
  const bytes = Buffer.concat(client.pipe.written);
  // Behind the frame's head: a table size update to 0, then `:status 200`.
  assert.ok(bytes.includes(Buffer.from([0x20, 0x88])));
});
