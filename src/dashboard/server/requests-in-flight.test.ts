import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import type { Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { RequestsInFlight, type RequestSender } from "./requests-in-flight.ts";
import { HandClock } from "../../base/testing/index.ts";

class Answer extends EventEmitter {
  closed = false;
  destroy(): void {
    this.closed = true;
    this.emit("close");
  }
}

const user = (name: string): RequestSender => ({ name, isLoggedIn: true });
const address = (name: string): RequestSender => ({ name, isLoggedIn: false });

const answers = (count: number): (Answer & ServerResponse)[] =>
  Array.from({ length: count }, () => new Answer() as Answer & ServerResponse);

test("a sender above the limit of concurrent requests gets an answer that asks it to wait, without delaying others", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const [first, ...more] = answers(limits.requestsOfSender + 1);
  assert.ok(first !== undefined);
  inFlight.enter(user("ana"), first);
  for (const answer of more.slice(1)) inFlight.enter(user("ana"), answer);
  assert.throws(() => inFlight.enter(user("ana"), more[0] as ServerResponse), { code: "unavailable" });
  inFlight.enter(user("bob"), more[0] as ServerResponse);
  first.destroy();
  inFlight.enter(user("ana"), answers(1)[0] as ServerResponse);
});

test("all requests share a limit, and each counts until its answer has been read", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const open = answers(limits.requestsInFlight);
  for (const [index, answer] of open.entries()) inFlight.enter(user(`user ${index}`), answer);
  const [last] = answers(1);
  assert.ok(last !== undefined);
  inFlight.answered(open[0] as ServerResponse);
  assert.throws(() => inFlight.enter(user("another"), last), { code: "unavailable" });
  open[0]?.destroy();
  inFlight.enter(user("another"), last);
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
  for (const answer of [slow, quick, gone]) inFlight.enter(user("ana"), answer);
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

test("on a full server, the sender with the most requests loses its oldest one to a sender with fewer", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const held = ["a", "b", "c"].map((name) => {
    const own = answers(Math.min(limits.requestsOfSender, limits.requestsWithoutLogin / 3));
    for (const answer of own) inFlight.enter(address(name), answer);
    return own;
  });
  const [fourth, last] = answers(2);
  assert.ok(fourth !== undefined && last !== undefined);
  inFlight.enter(address("d"), fourth);
  assert.deepEqual(
    held.map((own) => own.filter(({ closed }) => closed).length),
    [1, 0, 0],
  );
  assert.equal(held[0]?.[0]?.closed, true);
  inFlight.enter(user("ana"), last);
  assert.equal(held.flat().filter(({ closed }) => closed).length, 1);
});

test("requests without a login leave room for users", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const open = answers(limits.requestsWithoutLogin);
  for (const [index, answer] of open.entries()) inFlight.enter(address(`10.0.0.${index}`), answer);
  const [refused, taken] = answers(2);
  assert.ok(refused !== undefined && taken !== undefined);
  assert.throws(() => inFlight.enter(address("10.1.0.1"), refused), { code: "unavailable" });
  inFlight.enter(user("ana"), taken);
});

test("refused addresses are not remembered", () => {
  const inFlight = new RequestsInFlight(new HandClock());
  const open = answers(limits.requestsWithoutLogin);
  for (const [index, answer] of open.entries()) inFlight.enter(address(`10.0.0.${index}`), answer);
  for (const [index, answer] of answers(100).entries())
    assert.throws(() => inFlight.enter(address(`10.1.0.${index}`), answer), { code: "unavailable" });
  assert.equal(inFlight.addressesWithoutLogin, limits.requestsWithoutLogin);
  for (const answer of open) answer.destroy();
  assert.equal(inFlight.addressesWithoutLogin, 0);
});
