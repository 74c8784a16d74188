import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { FrameReader, FrameWriter, hpackEncode } from "../../wire/http2/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

type Deed = (writer: FrameWriter, id: number) => void;

const maxFrameBytes = 16_384;
const maxConcurrentStreams = 3;
const text = Buffer.from("hello");
const head = (status: string, ...more: readonly string[]): Buffer => hpackEncode([":status", status, ...more]);
const withBody =
  (status: string, ...more: readonly string[]): Deed =>
  (writer, id) => {
    writer.headers(id, head(status, ...more), false, maxFrameBytes);
    writer.data(id, text, 0, text.length, true);
  };
const withEmptyEnd =
  (status: string, ...more: readonly string[]): Deed =>
  (writer, id) => {
    writer.headers(id, head(status, ...more), false, maxFrameBytes);
    writer.data(id, text, 0, 0, true);
  };
const withTrailers =
  (status: string): Deed =>
  (writer, id) => {
    writer.headers(id, head(status), false, maxFrameBytes);
    writer.headers(id, hpackEncode(["a", "b"]), true, maxFrameBytes);
  };

async function hostileServer(
  harness: Harness,
  deeds: Readonly<Record<string, Deed>>,
  settings: [number, number][] = [],
  clock: Clock = systemClock,
) {
  const server = { connections: 0, settings, send: (_write: (writer: FrameWriter) => void): void => undefined };
  const port = await harness.rawBackend((socket) => {
    server.connections += 1;
    const writer = new FrameWriter();
    const send = (write: (writer: FrameWriter) => void): void => {
      write(writer);
      socket.write(Buffer.from(writer.view()));
      writer.reuse();
    };
    server.send = send;
    const ignore = (): void => undefined;
    const reader = new FrameReader(
      {
        data: ignore,
        padding: ignore,
        rstStream: ignore,
        settings: () => send(() => writer.settingsAck()),
        settingsAck: ignore,
        ping: ignore,
        pingAck: ignore,
        goaway: ignore,
        windowUpdate: ignore,
        headers: (id, fields) => send(() => deeds[fields[fields.indexOf(":path") + 1] ?? ""]?.(writer, id)),
      },
      { maxFrameSize: 65_536, expectPreface: true },
    );
    send(() => writer.settings(server.settings));
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("end", () => socket.end());
  });
  harness.cluster("a", [port], { upstreamProtocol: "http2" }, clock);
  harness.table = tableOf(route(forwardTo("a")));
  return server;
}

const bodiless: Readonly<Record<string, { readonly method: string; readonly deed: Deed; readonly isFault: boolean }>> =
  {
    "204 with DATA": { method: "GET", deed: withBody("204"), isFault: true },
    "304 with DATA": { method: "GET", deed: withBody("304"), isFault: true },
    "the response to HEAD with DATA": { method: "HEAD", deed: withBody("200"), isFault: true },
    "the response to HEAD with DATA of the announced length": {
      method: "HEAD",
      deed: withBody("200", "content-length", "5"),
      isFault: true,
    },
    "204 that an empty DATA frame ends": { method: "GET", deed: withEmptyEnd("204"), isFault: false },
    "the response to HEAD that an empty DATA frame ends": {
      method: "HEAD",
      deed: withEmptyEnd("200", "content-length", "5"),
      isFault: false,
    },
    "204 with trailers": { method: "GET", deed: withTrailers("204"), isFault: false },
    "the response to HEAD with trailers": { method: "HEAD", deed: withTrailers("200"), isFault: false },
  };

for (const [title, { method, deed, isFault }] of Object.entries(bodiless)) {
  test(`the client's next response begins where the head of one without a body ends: ${title}`, async () => {
    await using harness = await Harness.start();
    await hostileServer(harness, { "/bodiless": deed, "/next": withBody("201", "content-length", "5") });
    const client = harness.client();
    client.send(`${method} /bodiless HTTP/1.1\r\nhost: a\r\n\r\n`);
    await client.until(/\r\n\r\n/);
    await until(() => harness.records.length === 1);
    assert.equal(harness.records[0]?.flag, isFault ? "UPE" : "-");
    if (isFault) await client.closed;
    else {
      client.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
      await client.until(/hello$/);
    }
    const [first = "", ...rest] = client.received.split("\r\n\r\n");
    assert.match(first, /^HTTP\/1\.1 (200|204|304) /);
    assert.doesNotMatch(first, /transfer-encoding/i);
    assert.match(rest.join(" | "), isFault ? /^$/ : /^HTTP\/1\.1 201 Created\r\n[^]* \| hello$/);
  });
}

test("a response that ends before its announced length is a protocol error, although no DATA frame came", async () => {
  await using harness = await Harness.start();
  await hostileServer(harness, {
    "/": (writer, id) => writer.headers(id, head("200", "content-length", "5"), true, maxFrameBytes),
    "/zero": (writer, id) => writer.headers(id, head("200", "content-length", "0"), true, maxFrameBytes),
  });
  assert.equal((await harness.get("/")).status, 502);
  assert.equal(harness.records[0]?.flag, "UPE");
  const answer = await harness.get("/zero");
  assert.deepEqual([answer.status, answer.headers["content-length"]], [200, "0"]);
});

test("a response of content-length 0 that an empty DATA frame ends keeps its length", async () => {
  await using harness = await Harness.start();
  await hostileServer(harness, { "/": withEmptyEnd("200", "content-length", "0") });
  const answer = await harness.get("/");
  assert.deepEqual([answer.status, answer.headers["content-length"], answer.body], [200, "0", ""]);
});

test("a stream whose interim responses do not end is reset, and others of its connection are served", async () => {
  await using harness = await Harness.start();
  const hints = head("103", "link", "l".repeat(1000));
  const server = await hostileServer(harness, {
    "/hints": (writer, id) => {
      for (let count = 0; count < 50; count += 1) writer.headers(id, hints, false, maxFrameBytes);
      withBody("200")(writer, id);
    },
    "/endless": (writer, id) => {
      for (let count = 0; count < 100; count += 1) writer.headers(id, hints, false, maxFrameBytes);
    },
  });
  assert.equal((await harness.get("/hints")).status, 200);
  assert.equal((await harness.get("/endless")).status, 502);
  assert.equal(harness.records[1]?.flag, "UPE");
  assert.equal((await harness.get("/hints")).status, 200);
  assert.equal(server.connections, 1);
});

test("a server may answer every request with many fields and an empty end", async () => {
  await using harness = await Harness.start();
  const fields = Array.from({ length: 90 }, (_field, index) => [`x-${index}`, "v"]).flat();
  // The clock stands still, so the limit of 5,000 frames without progress per second applies to all responses together.
  const server = await hostileServer(harness, { "/": withEmptyEnd("200", ...fields) }, [], new HandClock());
  for (let round = 0; round < 20; round += 1) {
    const answers = await Promise.all(Array.from({ length: 50 }, async () => await harness.get("/")));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  }
  assert.equal(server.connections, 1);
});

test("requests wait for a server that allows no streams, and open no further connections", async () => {
  await using harness = await Harness.start();
  const server = await hostileServer(harness, { "/": withBody("200") }, [[maxConcurrentStreams, 0]]);
  // The first request may arrive before the server's SETTINGS.
  assert.equal((await harness.get("/")).status, 200);
  const waiting = [harness.get("/"), harness.get("/"), harness.get("/")];
  await until(() => harness.clusters.get("a")?.activeRequests === 3);
  for (let turn = 0; turn < 50; turn += 1) await new Promise((next) => setImmediate(next));
  assert.equal(server.connections, 1);
  server.send((writer) => writer.settings([[maxConcurrentStreams, 3]]));
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(server.connections, 1);
});

test("a server that allowed no streams gets one request on its next connection", async () => {
  await using harness = await Harness.start();
  const server = await hostileServer(
    harness,
    {
      "/": withBody("200"),
      "/leave": (writer, id) => {
        withBody("200")(writer, id);
        writer.goaway(id, 0);
      },
    },
    [[maxConcurrentStreams, 0]],
  );
  assert.equal((await harness.get("/leave")).status, 200);
  assert.equal((await harness.get("/")).status, 200);
  assert.equal(server.connections, 2);
});

/** Moves the time of a cluster's connections, and lets connections open. */
function swept(harness: Harness): (ms: number) => Promise<void> {
  // Use whole milliseconds, because their sums are exact.
  let nowMs = Math.ceil(systemClock.steadyMs());
  return async (ms) => {
    nowMs += ms;
    harness.clusters.get("a")?.sweep(nowMs);
    for (let turn = 0; turn < 50; turn += 1) await new Promise((next) => setImmediate(next));
  };
}

for (const isBusy of [false, true]) {
  const state = isBusy ? "that is in use" : "without a request";
  test(`requests that waited for a second for a connection ${state} try another server of a virtual address`, async () => {
    await using harness = await Harness.start();
    const server = await hostileServer(harness, { "/": withBody("200"), "/long": () => undefined }, [
      [maxConcurrentStreams, 0],
    ]);
    const first = harness.get(isBusy ? "/long" : "/");
    await until(() => server.connections === 1);
    if (!isBusy) await first;
    const onFirst = server.send;
    const pass = swept(harness);
    await pass(0);
    const waiting = [harness.get("/"), harness.get("/"), harness.get("/")];
    await until(() => harness.clusters.get("a")?.activeRequests === (isBusy ? 4 : 3));
    server.settings = [[maxConcurrentStreams, 10]];
    await pass(0);
    await pass(999);
    assert.equal(server.connections, 1);
    await pass(1);
    await until(() => server.connections === 2);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(server.connections, 2);
    if (isBusy) onFirst((writer) => withBody("201")(writer, 1));
    assert.equal((await first).status, isBusy ? 201 : 200);
  });
}

test("a server that never allows streams gets one connection a second, each for one request, and keeps one", async () => {
  await using harness = await Harness.start();
  const server = await hostileServer(harness, { "/": withBody("200") }, [[maxConcurrentStreams, 0]]);
  assert.equal((await harness.get("/")).status, 200);
  const waiting = [harness.get("/"), harness.get("/"), harness.get("/")];
  await until(() => harness.clusters.get("a")?.activeRequests === 3);
  const pass = swept(harness);
  await pass(0);
  for (const expected of [2, 3, 4]) {
    for (let time = 0; time < 10; time += 1) await pass(100);
    await until(() => server.connections === expected);
    await until(() => harness.clusters.get("a")?.activeRequests === 4 - expected);
    for (let time = 0; time < 5; time += 1) await pass(0);
  }
  for (let second = 0; second < 5; second += 1) await pass(1000);
  assert.equal(server.connections, 4);
  const [endpoint] = [...(harness.clusters.get("a")?.endpoints() ?? [])];
  await until(() => endpoint?.pool.openConnections === 1);
  for (const answer of waiting) assert.equal((await answer).status, 200);
});
