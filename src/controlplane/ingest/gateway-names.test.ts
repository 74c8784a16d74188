import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import type { NetworkGateways } from "../model/network-gateways.ts";
import { GatewayNames } from "./gateway-names.ts";

test("hostnames of gateways are resolved when they appear, forgotten when removed, and kept while DNS fails", async () => {
  const graph = new CollectionGraph();
  const gateways = graph.source<NetworkGateways>("gateways");
  const resolved = graph.source<{ readonly addresses: readonly string[] }>("resolved");
  const answers: (readonly string[] | Error)[] = [["192.0.2.2", "192.0.2.1"], new Error("SERVFAIL"), ["192.0.2.3"]];
  const queries: string[] = [];
  const lookUp = async (name: string): Promise<readonly string[]> => {
    queries.push(name);
    const answer = answers.shift() ?? [];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const stop = new AbortController();
  const wakes: (() => void)[] = [];
  const clock = { ...systemClock, sleep: async () => await new Promise<void>((resolve) => void wakes.push(resolve)) };
  const turn = async (): Promise<void> => {
    wakes.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const set = (...addresses: readonly string[]): void =>
    gateways.set("all", {
      scale: 1,
      all: addresses.map((address) => ({ network: "n", cluster: "", address, port: 15_443, hbonePort: 0 })),
    });
  const done = new GatewayNames({ gateways, resolved, lookUp, clock, log: silentLogger }).run(stop.signal);
  set("gate.example.com", "192.0.2.9");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(resolved.get("gate.example.com"), { addresses: ["192.0.2.1", "192.0.2.2"] });
  await turn();
  assert.deepEqual(resolved.get("gate.example.com"), { addresses: ["192.0.2.1", "192.0.2.2"] });
  await turn();
  assert.deepEqual(resolved.get("gate.example.com"), { addresses: ["192.0.2.3"] });
  set("192.0.2.9");
  await turn();
  assert.equal(resolved.size, 0);
  assert.deepEqual([...new Set(queries)], ["gate.example.com"]);
  stop.abort();
  while (wakes.length > 0) await turn();
  await done;
});
