import assert from "node:assert/strict";
import { test } from "node:test";
import { NftNetlink, NftTransaction } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import { HostProbeRules } from "./host-probe-rules.ts";
import { askOnce, TestNode } from "./testing/test-node.ts";

requireOwnNetwork();

test("the probes of all pods pass again after the node's rules were flushed", async (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const pods = [node.addPod(), node.addPod()];
  for (const pod of pods) await node.serve(pod, 9080, "app");
  const { fd } = node.namespace;
  const sources = async () => await Promise.all(pods.map(async ({ address }) => await askOnce(fd, address, 9080)));
  const flush = (): void => {
    using nft = new NftNetlink(fd);
    const transaction = new NftTransaction();
    for (const table of nft.tables("inet")) transaction.table("inet", table).delete();
    nft.commit(transaction);
  };
  const exempt = "app saw 169.254.7.127: x";
  const addresses = pods.map(({ address }) => address);
  using rules = new HostProbeRules(fd);
  rules.install(addresses.slice(0, 1));
  flush();
  rules.add(addresses.slice(1));
  assert.deepEqual(await sources(), [exempt, exempt]);
  assert.equal(rules.restore(), false);
  flush();
  assert.equal(rules.restore(), true);
  assert.deepEqual(await sources(), [exempt, exempt]);
});
