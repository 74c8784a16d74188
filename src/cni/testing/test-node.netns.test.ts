import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { requireOwnNetwork } from "../../net/testing/index.ts";
import { TestClient, TestNode } from "./test-node.ts";

requireOwnNetwork();

const openSockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;

test("a node that closes also ends connections whose clients close after it", async () => {
  const node = new TestNode();
  const [client, server] = [node.addPod(), node.addPod()];
  await node.serve(server, 9080, "server");
  const connection = await TestClient.connect(client.namespace.fd, server.address, 9080);
  assert.equal(await connection.ask("one"), `server saw ${client.address}: one`);
  node.close();
  // The node's links are removed by now, before the client sends its FIN.
  await delay(100);
  connection.close();
  for (let turn = 0; turn < 100 && openSockets() > 0; turn += 1) await delay(50);
  assert.equal(openSockets(), 0);
});
