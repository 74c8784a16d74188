import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteStream, ByteStreamHandler } from "../../net/index.ts";
import { hboneLimits } from "./limits.ts";
import { TunnelConnection } from "./tunnel-connection.ts";

const nothing = (): void => undefined;
const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("a tunnel connection that has drained waits for a peer that reads slowly, and for others only a moment", async () => {
  const { closeGraceMs, flushTimeoutMs } = hboneLimits;
  for (const [waitingBytes, cutOffMs] of [
    [0, closeGraceMs],
    [100, closeGraceMs + flushTimeoutMs],
  ] as const) {
    const clock = new HandClock();
    let isCutOff = false;
    const stream: Partial<ByteStream> = {
      setHandler: nothing,
      write: () => true,
      bufferedBytes: waitingBytes,
      end: nothing,
      destroy: () => (isCutOff = true),
      pause: nothing,
      resume: nothing,
    };
    const connection = new TunnelConnection({
      stream: stream as ByteStream,
      peerIdentity: "",
      server: false,
      handler: { headers: nothing, connectionClosed: nothing },
      clock,
    });
    connection.start();
    connection.drain();
    await turn();
    for (let passedMs = closeGraceMs; passedMs < cutOffMs; passedMs += closeGraceMs) {
      clock.pass(closeGraceMs);
      assert.equal(isCutOff, false, `after ${passedMs} ms`);
    }
    clock.pass(closeGraceMs);
    assert.equal(isCutOff, true);
  }
});

test("a tunnel connection that the peer closes in time is not cut off later", async () => {
  const clock = new HandClock();
  let isCutOff = false;
  let handler: ByteStreamHandler | undefined;
  const stream: Partial<ByteStream> = {
    setHandler: (next) => void (handler = next),
    write: () => true,
    bufferedBytes: 0,
    end: nothing,
    destroy: () => (isCutOff = true),
    pause: nothing,
    resume: nothing,
  };
  const connection = new TunnelConnection({
    stream: stream as ByteStream,
    peerIdentity: "",
    server: false,
    handler: { headers: nothing, connectionClosed: nothing },
    clock,
  });
  connection.start();
  connection.drain();
  await turn();
  handler?.close(undefined);
  clock.pass(hboneLimits.closeGraceMs);
  assert.equal(isCutOff, false);
});

test("a tunnel connection whose peer ends its direction and reads nothing is cut off", () => {
  const clock = new HandClock();
  let isCutOff = false;
  let handler: ByteStreamHandler | undefined;
  const errors: (string | undefined)[] = [];
  const stream: Partial<ByteStream> = {
    setHandler: (next) => void (handler = next),
    write: () => true,
    bufferedBytes: 100,
    end: nothing,
    destroy: () => (isCutOff = true),
    pause: nothing,
    resume: nothing,
  };
  const connection = new TunnelConnection({
    stream: stream as ByteStream,
    peerIdentity: "",
    server: true,
    handler: { headers: nothing, connectionClosed: (error) => void errors.push(error?.message) },
    clock,
  });
  connection.start();
  handler?.end();
  assert.deepEqual(errors, [undefined]);
  const { closeGraceMs, flushTimeoutMs } = hboneLimits;
  for (let passedMs = 0; passedMs <= flushTimeoutMs; passedMs += closeGraceMs) clock.pass(closeGraceMs);
  assert.equal(isCutOff, true);
});
