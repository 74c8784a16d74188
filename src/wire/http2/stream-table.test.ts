import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { SessionStream } from "./session-stream.ts";
import { StreamTable } from "./stream-table.ts";

class PlainStream extends SessionStream {
  receive(): number {
    return 0;
  }
  receiveHeaders(): number {
    return 0;
  }
  resetByPeer(): void {}
  broken(): void {}
  writable(): void {}
}

const step = fc.record({ does: fc.constantFrom("get", "add", "delete"), id: fc.integer({ min: 1, max: 5 }) });

test("a stream is found from its addition to its end, whatever was looked up before", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, renews) => {
      const table = new StreamTable<PlainStream>(true);
      // So many streams make the table replace its Map.
      if (renews)
        for (let id = 100; id < 350; id += 1) {
          const stream = new PlainStream(id);
          table.add(stream);
          table.delete(stream);
        }
      const expected = new Map<number, PlainStream>();
      for (const { does, id } of steps) {
        const known = expected.get(id);
        if (does === "add" && known === undefined) {
          const stream = new PlainStream(id);
          table.add(stream);
          expected.set(id, stream);
        } else if (does === "delete" && known !== undefined) {
          assert.equal(table.delete(known), true);
          expected.delete(id);
        }
        assert.equal(table.get(id), expected.get(id));
      }
      assert.deepEqual([...table.all], [...expected.values()]);
    }),
  );
});
