import assert from "node:assert/strict";
import { test } from "node:test";
import { DistinctChains, type OutboundChain } from "./outbound-chain.ts";

const chainOf = (sniHosts: readonly string[], config: string): OutboundChain => ({
  sniHosts,
  destinations: [],
  applicationProtocols: [],
  transportProtocol: "",
  config,
  filters: [],
});

test("the first of several chains with the same match stays", () => {
  const chains = new DistinctChains([chainOf(["b", "a"], "first")]);
  chains.add([chainOf(["a", "b"], "second"), chainOf(["c"], "third"), chainOf(["c"], "fourth")]);
  assert.deepEqual(
    chains.all.map(({ config }) => config),
    ["first", "third"],
  );
});

test("each of thousands of chains is compared with the others once", () => {
  let reads = 0;
  const chains = new DistinctChains();
  for (let index = 0; index < 2000; index += 1)
    chains.add([
      {
        ...chainOf([], ""),
        get sniHosts() {
          reads += 1;
          return [`host-${index}.example.com`];
        },
      },
    ]);
  assert.deepEqual([chains.all.length, reads], [2000, 2000]);
});
