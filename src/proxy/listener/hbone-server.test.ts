import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { HbonePool } from "../../dataplane/index.ts";
import { connectTcp, listenTcp, type SecureStream } from "../../net/index.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { HboneServer } from "./hbone-server.ts";

test("no tunnel from another pod leads to this pod's loopback, whose listeners trust their callers", async () => {
  const entered: string[] = [];
  const server = new HboneServer({
    cluster: () =>
      ({ endpoints: () => [{ config: { transport: { kind: "internal", listener: "main" } } }] }) as unknown as Cluster,
    enter: (_listener, _stream, { local }) => {
      entered.push(`${local.address}:${local.port}`);
      return false;
    },
    clock: systemClock,
    onCutOff: () => undefined,
    observer: () => undefined,
  });
  const connectTo = async (local: string, authority: string): Promise<string> => {
    const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
      server.accept(stream, {
        local: { address: local, port: 15_008 },
        remote: { address: "10.1.0.9", port: 4321 },
        tls: undefined,
        peer: undefined,
      }),
    );
    const { port } = listener.address;
    const pool = new HbonePool({
      dial: async (_target, timeoutMs) =>
        Object.assign(await connectTcp({ address: "127.0.0.1", port, timeoutMs }), {
          peerIdentity: "spiffe://cluster.local/ns/test/sa/peer",
          alpnProtocol: "h2",
        }) as unknown as SecureStream,
    });
    try {
      const tunnel = await pool.connect({
        sourceIdentity: "spiffe://cluster.local/ns/test/sa/me",
        address: "127.0.0.1",
        port,
        expectedIdentities: [],
        authority,
        headers: [],
        timeoutMs: 5000,
      });
      tunnel.destroy();
      return "let in";
    } catch (error) {
      return error instanceof Error ? error.message : "";
    } finally {
      pool.close();
      listener.close();
    }
  };
  for (const authority of [
    "127.0.0.1:15000",
    "127.9.9.9:9999",
    "0.0.0.0:15000",
    "0.0.0.1:1",
    "[::1]:15000",
    "[::]:15000",
    "[0:0:0:0:0:0:0:1]:15000",
    "[::ffff:127.0.0.1]:15000",
    "[::ffff:7f00:1]:15000",
    "[::ffff:0.0.0.0]:15000",
  ])
    assert.match(await connectTo("10.1.0.2", authority), /400/, authority);
  assert.deepEqual(entered, []);
  assert.equal(await connectTo("10.1.0.2", "10.1.0.2:8080"), "let in");
  assert.equal(await connectTo("127.0.0.1", "127.0.0.1:8080"), "let in");
  assert.deepEqual(entered, ["10.1.0.2:8080", "127.0.0.1:8080"]);
  server.closeAll();
});
