import assert from "node:assert/strict";
import { test } from "node:test";
import { ShareMemory } from "./share-memory.ts";
import { WorkerShare } from "./worker-share.ts";

test("a worker accepts more of the waiting connections only while it would not offer them to another", () => {
  const memory = new ShareMemory(ShareMemory.memory(2));
  for (const worker of [0, 1]) memory.begin(worker);
  const share = new WorkerShare(memory, 0, () => Promise.resolve(true));
  const served: Disposable[] = [];
  while (share.keeps("outbound")) {
    assert.equal(memory.better(0, "outbound"), undefined);
    served.push(share.serve("outbound"));
  }
  assert.equal(served.length, 3);
  assert.equal(share.keeps("inbound-plaintext"), true);
  served.pop()?.[Symbol.dispose]();
  assert.equal(share.keeps("outbound"), true);
  memory.add(1, "outbound", 1);
  served.push(share.serve("outbound"));
  assert.equal(share.keeps("outbound"), true);
});
