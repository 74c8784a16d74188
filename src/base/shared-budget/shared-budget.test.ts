import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyBudget, SharedBudget } from "./index.ts";

const mebibyte = 1 << 20;

function budget() {
  const bodies = new BodyBudget({ tooLarge: (max) => new Error(`larger than ${max}`), busy: () => new Error("busy") });
  const hold = (caller: string, bytes: number): { readonly outcome: Promise<string>; end(): void } => {
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* parts(): AsyncGenerator<Buffer> {
      yield Buffer.allocUnsafe(bytes);
      await promise;
    }
    const outcome = bodies
      .use(parts(), caller, () => Promise.resolve("read"))
      .catch((error: unknown) => (error instanceof Error ? error.message : ""));
    return { outcome, end: resolve };
  };
  return { hold };
}

test("a client that sends bodies and never ends them leaves memory for the bodies of other clients", async () => {
  const { hold } = budget();
  const held = Array.from({ length: 4 }, () => hold("10.0.0.1", 8 * mebibyte));
  assert.equal(await hold("10.0.0.1", mebibyte).outcome, "busy", "half of the memory is its own");
  const others = Array.from({ length: 2 }, () => hold("10.0.0.2", 8 * mebibyte));
  assert.equal(await hold("10.0.0.2", mebibyte).outcome, "busy", "half of the rest");
  const last = hold("10.0.0.3", 8 * mebibyte);
  for (const body of [...held, ...others, last]) body.end();
  for (const { outcome } of [...held, ...others, last]) assert.equal(await outcome, "read");
  const again = hold("10.0.0.1", 8 * mebibyte);
  again.end();
  assert.equal(await again.outcome, "read", "bodies that were read leave no trace");
});

test("a body that is too large is refused, and no longer counts", async () => {
  const { hold } = budget();
  for (let index = 0; index < 10; index += 1)
    assert.match(await hold("10.0.0.1", 8 * mebibyte + 1).outcome, /^larger than 8388608/);
  const next = hold("10.0.0.1", 8 * mebibyte);
  next.end();
  assert.equal(await next.outcome, "read");
});

test("a body keeps no piece in which it came, because each piece of one byte would cost hundreds of bytes", async () => {
  const bodies = new BodyBudget({ tooLarge: () => new Error("too large"), busy: () => new Error("busy") });
  async function* parts(): AsyncGenerator<Buffer> {
    // Each piece arrives in the same memory.
    const piece = Buffer.alloc(1);
    for (const letter of "abc") {
      piece.write(letter);
      await Promise.resolve();
      yield piece;
    }
  }
  assert.equal(await bodies.use(parts(), "10.0.0.1", (body) => Promise.resolve(body.toString())), "abc");
});

test("a caller whose part shrank, because others took memory, keeps what it has, gives back, and takes no more", () => {
  const memory = new SharedBudget(100);
  const [a, b] = [memory.share("a"), memory.share("b")];
  assert.ok(a.set(50) && b.set(25));
  assert.equal(a.set(51), false);
  assert.ok(a.set(50));
  assert.ok(a.set(40));
  assert.equal(b.set(30), true, "a's former memory is free");
  assert.equal(a.add(1), false);
});

test("the shares of a caller have one part together, and a share that is given back leaves room for another", () => {
  const memory = new SharedBudget(100);
  const [first, second] = [memory.share("a"), memory.share("a")];
  assert.ok(first.add(30) && first.add(20));
  assert.equal(second.set(1), false);
  assert.ok(first.set(0));
  assert.ok(second.set(50));
});
