import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCode, type Http2ConnectionError } from "./constants.ts";
import { FrameReader, type FrameHandler } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { Http2Session } from "./session.ts";
import { SessionStream } from "./session-stream.ts";
import type { SessionPort } from "./session-types.ts";
import { modelLimits } from "./testing/session-model.ts";

type Call = "opened" | "receive" | "receiveHeaders" | "resetByPeer" | "broken" | "writable";

/** A stream that throws in one call, and notes the codes with which it was broken. */
class FaultyStream extends SessionStream {
  readonly #fault: Call | undefined;
  readonly received: string[] = [];
  readonly broke: number[] = [];

  constructor(id: number, fault: Call | undefined) {
    super(id);
    this.#fault = fault;
  }

  receive(chunk: Buffer): number {
    this.#call("receive");
    this.received.push(chunk.toString());
    return errorCode.noError;
  }
  receiveHeaders(): number {
    this.#call("receiveHeaders");
    return errorCode.noError;
  }
  resetByPeer(): void {
    this.#call("resetByPeer");
  }
  broken(code: number): void {
    this.broke.push(code);
    this.#call("broken");
  }
  writable(): void {
    this.#call("writable");
  }

  #call(name: Call): void {
    if (this.#fault === name || (this.#fault === "broken" && name === "receive"))
      throw new TypeError(`a fault of ${name}`);
  }
}

/** A server's session whose first stream throws in one call. The second one is sound. */
class Server implements SessionPort {
  readonly faults: unknown[] = [];
  readonly failures: Http2ConnectionError[] = [];
  readonly streams: FaultyStream[] = [];
  readonly #fault: Call;
  readonly #output = new FrameWriter();
  readonly session: Http2Session<FaultyStream>;

  constructor(fault: Call) {
    this.#fault = fault;
    this.session = new Http2Session(this, {
      server: true,
      limits: modelLimits,
      streamsName: "requests",
      nowMs: 0,
      maxStreams: 100,
      pingIntervalMs: 0,
      pingTimeoutMs: 0,
      pingsWhenIdle: false,
    });
    this.session.start();
  }

  output(): FrameWriter {
    return this.#output;
  }
  isFull(): boolean {
    return false;
  }
  opened(id: number): void {
    if (id === 1 && this.#fault === "opened") throw new TypeError("a fault of opened");
    const stream = new FaultyStream(id, id === 1 ? this.#fault : undefined);
    this.streams.push(stream);
    this.session.adopt(stream);
  }
  streamEnded(): void {}
  settingsChanged(): void {}
  peerLeaves(): void {}
  finished(): void {}
  failed(error: Http2ConnectionError): void {
    this.failures.push(error);
  }
  deferred(): void {}
  sendsOn(): void {}
  unanswered(): void {}
  faulted(error: unknown): void {
    this.faults.push(error);
  }

  /** The streams that the session has reset, with their codes. */
  resets(): (readonly [id: number, code: number])[] {
    const resets: (readonly [number, number])[] = [];
    const ignore = (): void => undefined;
    const handler: FrameHandler = {
      data: ignore,
      padding: ignore,
      headers: ignore,
      rstStream: (id, code) => void resets.push([id, code]),
      settings: ignore,
      settingsAck: ignore,
      ignored: ignore,
      ping: ignore,
      pingAck: ignore,
      goaway: ignore,
      windowUpdate: ignore,
      smallData: ignore,
      isTurnOver: () => false,
    };
    new FrameReader(handler, { maxFrameSize: 16_384, expectPreface: false }).push(Buffer.from(this.#output.view()));
    return resets;
  }
}

const head = hpackEncode([":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a"]);

for (const fault of ["opened", "receive", "receiveHeaders", "broken", "writable"] as const)
  test(`a stream that throws in ${fault} is reset, and the connection goes on`, () => {
    const server = new Server(fault);
    const client = new FrameWriter();
    client.preface();
    client.settings([]);
    for (const id of [1, 3]) client.headers(id, head, false, 16_384);
    server.session.receive(Buffer.from(client.view()), 1);
    const [first] = server.streams;
    // The stream wants to send more than its window, so that a later WINDOW_UPDATE wakes it.
    if (fault === "writable" && first !== undefined) server.session.sendData(first, Buffer.alloc(70_000), 0, false);
    const more = new FrameWriter();
    if (fault === "receiveHeaders") more.headers(1, hpackEncode(["x-sum", "5"]), true, 16_384);
    else if (fault === "writable") more.windowUpdate(0, 100_000);
    else more.data(1, Buffer.from("one"), 0, 3, false);
    if (fault === "writable") more.windowUpdate(1, 100_000);
    more.data(3, Buffer.from("two"), 0, 3, false);
    server.session.receive(Buffer.from(more.view()), 2);
    const sound = server.streams.find(({ id }) => id === 3);
    assert.deepEqual(sound?.received, ["two"]);
    assert.deepEqual(server.resets(), [[1, errorCode.internalError]]);
    assert.deepEqual(server.failures, []);
    assert.match(String(server.faults[0]), /TypeError: a fault of/);
    assert.equal(server.faults.length, fault === "broken" ? 2 : 1);
    if (fault !== "opened") assert.deepEqual(first?.broke, [errorCode.internalError]);
  });

test("a stream that throws when its client resets it does not end the connection", () => {
  const server = new Server("resetByPeer");
  const client = new FrameWriter();
  client.preface();
  client.settings([]);
  for (const id of [1, 3]) client.headers(id, head, false, 16_384);
  client.rstStream(1, errorCode.cancel);
  client.data(3, Buffer.from("two"), 0, 3, false);
  server.session.receive(Buffer.from(client.view()), 1);
  assert.deepEqual(server.streams[1]?.received, ["two"]);
  assert.deepEqual([server.failures, server.faults.length], [[], 1]);
});
