import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { limitConnecting, TooLong, wholeBody } from "./transport.ts";

test("a body is complete even if its HTTP/2 exchange ends before anybody reads it", async () => {
  const body = new Readable({ read: () => undefined });
  // Like an Http2Stream whose frames arrived all at once: `closed` is true although the end has not been read.
  Object.defineProperty(body, "closed", { value: true });
  body.push("an ");
  body.push("answer");
  setImmediate(() => body.push(null));
  assert.equal((await wholeBody(body, 100)).toString(), "an answer");
});

test("reading a body that breaks off, has broken off or is too long fails", async () => {
  const broken = new Readable({ read: () => undefined });
  broken.push("an ");
  setImmediate(() => broken.destroy());
  await assert.rejects(wholeBody(broken, 100), /closed in the middle of the answer/);
  await assert.rejects(wholeBody(broken, 100), /closed before the answer was read/);
  const failed = new Readable({ read: () => undefined });
  setImmediate(() => failed.destroy(new Error("reset")));
  await assert.rejects(wholeBody(failed, 100), /reset/);
  const long = Readable.from([Buffer.alloc(60), Buffer.alloc(60)]);
  await assert.rejects(wholeBody(long, 100), TooLong);
  assert.ok(long.destroyed);
});

test("a process that is busy while it connects does not give up a connection for that", () => {
  const timers: { readonly ms: number; readonly run: () => void }[] = [];
  const clock = {
    after: (ms: number, run: () => void): Disposable => {
      const timer = { ms, run };
      timers.push(timer);
      return { [Symbol.dispose]: () => void timers.splice(timers.indexOf(timer), 1) };
    },
  };
  const problems: string[] = [];
  const limited = (): Disposable => limitConnecting(({ message }) => problems.push(message), "connection", clock);
  /** Lets the event loop run, however late, once for each timer that is due. */
  const turn = (): number => {
    const timer = timers.shift();
    timer?.run();
    return timer?.ms ?? 0;
  };
  limited();
  // Ten seconds pass before the first turn, in which the connection may be noticed.
  turn();
  assert.deepEqual([problems, timers.length], [[], 1]);
  let waitedMs = 0;
  while (timers.length > 0) waitedMs += turn();
  assert.deepEqual([waitedMs, problems], [9000, ["no connection within 10000 ms"]]);
  const limit = limited();
  turn();
  limit[Symbol.dispose]();
  assert.deepEqual(timers, [], "it is connected");
});
