import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { RequestsInFlight } from "./requests-in-flight.ts";
import { HandClock } from "../../base/testing/index.ts";

/** A response that closes when it was read or destroyed. */
class Answer extends EventEmitter {
  closed = false;
  destroy(): void {
    this.closed = true;
    this.emit("close");
  }
}

const answers = (count: number): (Answer & ServerResponse)[] =>
  Array.from({ length: count }, () => new Answer() as Answer & ServerResponse);

test("a sender above the limit of concurrent requests is told to wait, without delaying others", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const [first, ...more] = answers(limits.requestsOfSender + 1);
  assert.ok(first !== undefined);
  inFlight.enter("ana", first);
  for (const answer of more.slice(1)) inFlight.enter("ana", answer);
  assert.throws(() => inFlight.enter("ana", more[0] as ServerResponse), { code: "unavailable" });
  inFlight.enter("bob", more[0] as ServerResponse);
  first.destroy();
  inFlight.enter("ana", answers(1)[0] as ServerResponse);
});

test("all requests share a limit, and each counts until its answer has been read", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const open = answers(limits.requestsInFlight);
  for (const [index, answer] of open.entries()) inFlight.enter(`user ${index}`, answer);
  const [last] = answers(1);
  assert.ok(last !== undefined);
  inFlight.answered(open[0] as ServerResponse);
  assert.throws(() => inFlight.enter("another", last), { code: "unavailable" });
  open[0]?.destroy();
  inFlight.enter("another", last);
});

test("an unread answer is dropped after its time, and a read one is left alone", () => {
  const timers: { readonly ms: number; readonly run: () => void; isSet: boolean }[] = [];
  const clock: Clock = Object.assign(new HandClock(), {
    after: (ms: number, run: () => void): Disposable => {
      const timer = { ms, run, isSet: true };
      timers.push(timer);
      return { [Symbol.dispose]: () => void (timer.isSet = false) };
    },
  });
  const inFlight = new RequestsInFlight(clock);
  const [slow, quick, gone] = answers(3);
  assert.ok(slow !== undefined && quick !== undefined && gone !== undefined);
  for (const answer of [slow, quick, gone]) inFlight.enter("ana", answer);
  gone.destroy();
  for (const answer of [slow, quick, gone]) inFlight.answered(answer);
  quick.destroy();
  assert.deepEqual(
    timers.map(({ ms, isSet }) => [ms, isSet]),
    [
      [limits.answerReadMs, true],
      [limits.answerReadMs, false],
    ],
  );
  timers[0]?.run();
  assert.equal(slow.closed, true);
});
