import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { HandClock } from "../../../base/testing/index.ts";
import { Budget } from "../../upstream/circuit-breaker.ts";
import type { Endpoint } from "../../upstream/cluster.ts";
import type { PoolUser } from "../../upstream/pool-user.ts";
import type { UpstreamChannel } from "../../upstream/upstream-channel.ts";
import { bodyFramings, MessageHead, scanResponseHead } from "../../../wire/http1/index.ts";
import { ShadowLimit } from "./shadow-limit.ts";
import { Shadow } from "./shadow.ts";

const head = Buffer.from("POST / HTTP/1.1\r\nhost: a\r\n\r\n");

/** A mirror's connection that records what is written, and reads nothing until the test says so. */
class Mirror {
  readonly written: string[] = [];
  isReading = true;
  ended = false;
  abandoned = false;
  begin(): void {}
  send(message: Buffer, headLength: number, last: boolean): boolean {
    return this.write(message.subarray(headLength), last);
  }
  write(bytes: Buffer, last: boolean): boolean {
    assert.equal(this.ended, false);
    this.written.push(bytes.toString());
    this.ended = last;
    return this.isReading;
  }
  sendTrailers(fields: readonly string[]): void {
    this.written.push(`trailers ${fields.join("=")}`);
    this.ended = true;
  }
  abandon(): void {
    this.abandoned = true;
  }
}

function rig({ timeoutMs = 15_000, idleMs = 0, limit = new ShadowLimit() } = {}) {
  const acquired: PoolUser[] = [];
  const reports: string[] = [];
  const clock = new HandClock();
  const endpoint = {
    activeRequests: 0,
    counters: { requests: 0 },
    cluster: {
      activeRequests: 0,
      counters: { requests: 0, overflow: 0 },
      breaker: { requests: new Budget(() => 10) },
    },
    report: ({ kind }: { readonly kind: string }) => void reports.push(kind),
    pool: { acquire: (user: PoolUser) => void acquired.push(user), giveUp: () => undefined },
  };
  const shadow = new Shadow({
    endpoint: endpoint as unknown as Endpoint,
    head,
    toHead: false,
    isGrpc: false,
    chunksRequest: false,
    scheme: "http",
    protocol: "http1",
    timeoutMs,
    idleMs,
    clock,
    limit,
  });
  const mirror = new Mirror();
  return {
    shadow,
    mirror,
    clock,
    reports,
    counters: endpoint.cluster.counters,
    user: (): PoolUser => acquired[0] ?? assert.fail(),
    connect: (): void => acquired[0]?.connected(mirror as unknown as UpstreamChannel),
    send: (text: string): void => shadow.body(Buffer.from(text), 0, text.length, false),
  };
}

test("single bytes that wait for a mirror's connection take little more memory than their number", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { shadow, mirror, connect } = rig();
  const count = 200_000;
  const piece = Buffer.from("a");
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let sent = 0; sent < count; sent += 1) shadow.body(piece, 0, 1, sent === count - 1);
  collect();
  const kept = process.memoryUsage().heapUsed - before;
  assert.ok(kept < 20 * count, `${kept} bytes on the heap`);
  connect();
  assert.deepEqual([mirror.written, mirror.ended], [["a".repeat(count)], true]);
});

test("single bytes for a mirror that does not read are joined, and follow at once when it reads", () => {
  const { shadow, mirror, connect, send } = rig();
  connect();
  mirror.isReading = false;
  for (const letter of "abcdef") send(letter);
  assert.deepEqual(mirror.written, ["", "a"]);
  shadow.upstreamDrained();
  for (const letter of "gh") send(letter);
  assert.deepEqual(mirror.written, ["", "a", "bcdef"]);
  mirror.isReading = true;
  shadow.upstreamDrained();
  send("i");
  assert.deepEqual(mirror.written, ["", "a", "bcdef", "gh", "i"]);
});

test("the end of a request, or its trailers, follow the bytes that wait, without waiting for the mirror", () => {
  for (const end of ["body", "trailers"] as const) {
    const { shadow, mirror, connect, send } = rig();
    connect();
    mirror.isReading = false;
    for (const letter of "abc") send(letter);
    if (end === "body") shadow.body(Buffer.from("d"), 0, 1, true);
    else shadow.trailers(["x", "y"]);
    assert.deepEqual(mirror.written, ["", "a", ...(end === "body" ? ["bcd"] : ["bc", "trailers x=y"])]);
    assert.equal(mirror.ended, true);
  }
});

test("a mirror that reads nothing loses the request above 256 KiB, wherever they wait", () => {
  const { mirror, connect, send } = rig();
  send("a".repeat(100_000));
  mirror.isReading = false;
  connect();
  send("b".repeat(100_000));
  assert.equal(mirror.abandoned, false);
  send("c".repeat(100_000));
  assert.equal(mirror.abandoned, true);
});

const response = new MessageHead();
const responseBytes = Buffer.from("HTTP/1.1 200 OK\r\n\r\n");
scanResponseHead(response, responseBytes, 0, responseBytes.length);

test("a mirror that has the whole request and does not respond within the route's time has timed out", () => {
  for (const [connects, complete, responds, expected] of [
    [true, true, false, ["timeout"]],
    [true, false, false, []],
    [false, true, false, []],
    [true, true, true, ["answer"]],
  ] as const) {
    const { shadow, clock, reports, connect } = rig();
    shadow.body(Buffer.alloc(0), 0, 0, complete);
    if (connects) connect();
    if (responds) shadow.response(response, bodyFramings.untilClose, 0, 0, false);
    clock.pass(15_000);
    assert.deepEqual(reports, expected);
  }
});

test("a copy has the route's time from the end of its request, and without a limit it lasts while bytes pass", () => {
  const limited = rig({ timeoutMs: 60_000 });
  limited.connect();
  limited.clock.pass(59_999);
  limited.shadow.body(Buffer.alloc(0), 0, 0, true);
  limited.clock.pass(59_999);
  assert.equal(limited.mirror.abandoned, false);
  limited.clock.pass(1);
  assert.deepEqual([limited.mirror.abandoned, limited.clock.timers], [true, 0]);

  const endless = rig({ timeoutMs: 0, idleMs: 10_000 });
  endless.connect();
  endless.shadow.body(Buffer.alloc(0), 0, 0, true);
  endless.shadow.response(response, bodyFramings.untilClose, 0, 0, false);
  for (let part = 0; part < 10; part += 1) {
    endless.clock.pass(10_000);
    endless.shadow.responseBody(Buffer.from("x"), 0, 1, false);
  }
  assert.equal(endless.mirror.abandoned, false);
  endless.clock.pass(10_000);
  endless.clock.pass(10_000);
  assert.deepEqual([endless.mirror.abandoned, endless.clock.timers], [true, 0]);
});

test("a whole copy without any limit ends when its mirror has been silent for minutes", () => {
  const silent = rig({ timeoutMs: 0 });
  silent.connect();
  silent.clock.pass(3_600_000);
  assert.equal(silent.mirror.abandoned, false, "the request goes on");
  silent.shadow.body(Buffer.alloc(0), 0, 0, true);
  for (let minutes = 0; minutes < 60; minutes += 4) {
    silent.clock.pass(240_000);
    silent.shadow.responseBody(Buffer.from("x"), 0, 1, false);
  }
  assert.equal(silent.mirror.abandoned, false, "the response goes on");
  silent.clock.pass(300_000);
  silent.clock.pass(300_000);
  assert.deepEqual([silent.mirror.abandoned, silent.clock.timers], [true, 0]);
});

test("a copy for which the mirror's cluster opens no connection counts among its overflows", () => {
  const { counters, reports, user } = rig();
  user().connectFailed({ kind: "overflow", message: "overflow" });
  assert.deepEqual([counters.overflow, reports], [1, []]);
});

test("copies for a mirror that does not answer have a limit, above which the oldest ones end", () => {
  const limit = new ShadowLimit(10, 100_000);
  const copies = Array.from({ length: 12 }, () => rig({ timeoutMs: 0, limit }));
  for (const { connect, shadow } of copies) {
    shadow.body(Buffer.alloc(0), 0, 0, true);
    connect();
  }
  const abandoned = (): boolean[] => copies.map(({ mirror }) => mirror.abandoned);
  assert.deepEqual(
    copies.map(({ counters, shadow }) => [counters.requests, shadow.isListed]),
    copies.map((_, index) => [1, index >= 2]),
  );
  const reading = rig({ timeoutMs: 0, limit });
  reading.connect();
  assert.deepEqual(abandoned().slice(0, 4), [false, false, true, false], "its place was that of the third copy");
});

test("what all copies hold for mirrors that do not read has a limit, above which the oldest ones end", () => {
  const limit = new ShadowLimit(1000, 100_000);
  const copies = Array.from({ length: 30 }, () => rig({ limit }));
  const idle = copies[0] ?? assert.fail();
  idle.connect();
  for (const { send } of copies.slice(1)) send("x".repeat(4000));
  const open = copies.map(({ shadow }) => shadow.isListed);
  assert.equal(open[0], true, "a copy that holds nothing goes on");
  assert.deepEqual([open[1], open.at(-1)], [false, true]);
  const held = copies.reduce((sum, { shadow }) => sum + shadow.heldBytes, 0);
  assert.ok(held <= 100_000 && held > 80_000, `${held}`);
});
