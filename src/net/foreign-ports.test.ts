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
    assert.equal(chosen, isFree && count > 0);
    return count;
  }
}

/** The number of attempts that each of eight connections in a row makes from an address without free ports. */
const crowdedTurns = [0, 0, 0, 0, 0, 0, 0, 1];

test("every eighth connection of an address whose ports are all in use tries one port, until one is free", () => {
  const dials = new Dials();
  const attempts = (count: number, isFree: boolean): number[] =>
    Array.from({ length: count }, () => dials.attempts(7, "10.0.0.1", isFree));
  assert.deepEqual(attempts(1, false), [4]);
  assert.deepEqual(attempts(16, false), [...crowdedTurns, ...crowdedTurns]);
  assert.deepEqual(attempts(8, true), crowdedTurns);
  assert.deepEqual(attempts(2, true), [1, 1]);
  assert.deepEqual(attempts(2, false), [4, 0]);
});

test("an address whose ports are all in use takes no attempts from other addresses and namespaces", () => {
  const dials = new Dials();
  assert.equal(dials.attempts(7, "10.0.0.1", false), 4);
  assert.equal(dials.attempts(7, "10.0.0.2", false), 4);
  assert.equal(dials.attempts(8, "10.0.0.1", false), 4);
  // If one of the addresses finds a free port, the others remain crowded.
  assert.deepEqual(
    crowdedTurns.map(() => dials.attempts(8, "10.0.0.1", true)),
    crowdedTurns,
  );
  assert.equal(dials.attempts(7, "10.0.0.1", false), 0);
  assert.equal(dials.attempts(8, "10.0.0.1", false), 4);
});
