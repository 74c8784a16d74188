import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListenerSpec } from "./listener-spec.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { ByteListener } from "../../net/index.ts";
import { ActiveListener, type ListenerRuntime } from "./listener.ts";

/** A listener on an address whose socket opens when the test lets it open. */
function opening() {
  const attempts: PromiseWithResolvers<ByteListener>[] = [];
  let closed = 0;
  const listen = async (): Promise<ByteListener> => {
    const one = Promise.withResolvers<ByteListener>();
    attempts.push(one);
    return await one.promise;
  };
  const spec = {
    name: "l",
    kind: "bound",
    addresses: [{ address: "127.0.0.1", port: 80 }],
    chains: [],
    defaultChain: undefined,
  } as unknown as ListenerSpec;
  const listener = new ActiveListener(spec, {
    listen,
    clock: systemClock,
    log: silentLogger,
  } as unknown as ListenerRuntime);
  const open = async (): Promise<void> => {
    attempts.shift()?.resolve({ address: { address: "127.0.0.1", port: 80 }, close: () => void (closed += 1) });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { listener, open, attempts: () => attempts.length, closed: () => closed };
}

test("a listener that is removed while its socket opens does not listen", async () => {
  const { listener, open, closed } = opening();
  const bound = listener.bind();
  await new Promise((resolve) => setImmediate(resolve));
  listener.stopListening();
  await open();
  await bound;
  assert.deepEqual([listener.addresses, closed()], [[], 1]);
});

test("a socket opens once, however often it is requested meanwhile", async () => {
  const { listener, open, attempts, closed } = opening();
  const bound = [listener.bind(), listener.bind(), listener.bind()];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(attempts(), 1);
  await open();
  await Promise.all(bound);
  assert.deepEqual([attempts(), listener.bound, closed()], [0, true, 0]);
});
