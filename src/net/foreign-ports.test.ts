import assert from "node:assert/strict";
import { test } from "node:test";
import { ForeignPorts } from "./foreign-ports.ts";

/** Dials from addresses, and counts the ports that each dial tries. */
class Dials {
  readonly #ports = new ForeignPorts((min) => min);

  attempts(namespaceFd: number, address: string, isFree: boolean): number {
    let count = 0;
    const chosen = this.#ports.choose(namespaceFd, address, () => {
      count += 1;
      return isFree;
    });
    assert.equal(chosen, isFree);
    return count;
  }
}

test("an address whose ports are all in use tries one port, until one is free", () => {
  const dials = new Dials();
  const attempts = [false, false, false, true, false, false].map((isFree) => dials.attempts(7, "10.0.0.1", isFree));
  assert.deepEqual(attempts, [4, 1, 1, 1, 4, 1]);
});

test("an address whose ports are all in use takes no attempts from other addresses and namespaces", () => {
  const dials = new Dials();
  assert.equal(dials.attempts(7, "10.0.0.1", false), 4);
  assert.equal(dials.attempts(7, "10.0.0.2", false), 4);
  assert.equal(dials.attempts(8, "10.0.0.1", false), 4);
  // A free port of one of them does not end it for the others.
  assert.equal(dials.attempts(8, "10.0.0.1", true), 1);
  assert.equal(dials.attempts(7, "10.0.0.1", false), 1);
  assert.equal(dials.attempts(8, "10.0.0.1", false), 4);
});
