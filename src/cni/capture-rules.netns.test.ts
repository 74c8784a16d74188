import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { action, connectTcp, match, NetworkNamespace, NftNetlink, NftTransaction, RouteNetlink } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import {
  allowConnectionMigration,
  captureDigest,
  guardCapture,
  hasCapture,
  installCapture,
  removeCapture,
  ztunnelPorts,
} from "./capture-rules.ts";
import { closePodSockets, openPodSockets } from "./pod-sockets.ts";
import { answerFrom, sendUnansweredAck } from "./testing/crafted-packet.ts";
import { TestNode, type TestPodHost } from "./testing/test-node.ts";

requireOwnNetwork();

const silenceMs = 500;
const patientMs = 20_000;
const captureAll = { dns: true, bypassInbound: false, ipv6: true };

async function captured(context: TestContext): Promise<{ readonly client: TestPodHost; readonly server: TestPodHost }> {
  const node = new TestNode();
  context.after(() => node.close());
  const [client, server] = [node.addPod(), node.addPod()];
  await node.serve(server, 8080, "application");
  await node.serve(server, ztunnelPorts.inboundPlaintext, "ztunnel");
  await node.serve(server, ztunnelPorts.inboundHbone, "hbone");
  installCapture(server.namespace.fd, captureAll);
  return { client, server };
}

test("no packet before a connection leads it past the ztunnel", async (context) => {
  const { client, server } = await captured(context);
  const connection = { from: client, fromPort: 40_001, to: server, toPort: 8080 };
  assert.equal(await answerFrom(connection, patientMs), `ztunnel saw ${client.address}: x`);

  const afterAck = { ...connection, fromPort: 40_002 };
  sendUnansweredAck(afterAck);
  assert.equal(await answerFrom(afterAck, silenceMs), "no answer", "the kernel has seen an ACK of the connection");

  const afterReply = { ...connection, fromPort: 40_003 };
  sendUnansweredAck({ from: server, fromPort: 8080, to: client, toPort: afterReply.fromPort });
  assert.equal(await answerFrom(afterReply, silenceMs), "no answer", "the kernel takes the SYN for an answer");

  const tunnel = { ...connection, fromPort: 40_004, toPort: ztunnelPorts.inboundHbone };
  sendUnansweredAck(tunnel);
  assert.equal(await answerFrom(tunnel, patientMs), `hbone saw ${client.address}: x`);
});

test("an agent guards the capture of an earlier one without a change of its digest, and removes the guard with it", async (context) => {
  const { client, server } = await captured(context);
  const { fd } = server.namespace;
  const digest = captureDigest(fd);
  const earlier = new NftTransaction();
  earlier.table("inet", "istio-ambient-guard").delete();
  using nft = new NftNetlink(fd);
  nft.commit(earlier);
  assert.equal(captureDigest(fd), digest);
  const connection = { from: client, fromPort: 40_001, to: server, toPort: 8080 };
  sendUnansweredAck(connection);
  assert.match(await answerFrom(connection, patientMs), /^application/, "the attack works without the guard");

  guardCapture(fd, captureAll);
  assert.equal(captureDigest(fd), digest);
  const guarded = { ...connection, fromPort: 40_002 };
  sendUnansweredAck(guarded);
  assert.equal(await answerFrom(guarded, silenceMs), "no answer");

  removeCapture(fd);
  const free = { ...connection, fromPort: 40_003 };
  sendUnansweredAck(free);
  assert.match(await answerFrom(free, patientMs), /^application/);
  removeCapture(fd);
  installCapture(fd, { ...captureAll, bypassInbound: true });
  assert.deepEqual(nft.tables("inet").toSorted(), ["istio-ambient-mangle", "istio-ambient-nat"]);
});

test("rules that a pod adds do not keep the agent from its own work", (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const { fd } = node.addPod().namespace;
  installCapture(fd, captureAll);
  const digest = captureDigest(fd);
  using nft = new NftNetlink(fd);
  const add = (table: string, chain: string): void => {
    for (let count = 0; count < 4_000; count += 500) {
      const transaction = new NftTransaction();
      const editor = transaction.table("inet", table).create().addChain(chain);
      for (let index = 0; index < 500; index += 1) editor.addRule(chain, match.destination("192.0.2.1"), action.drop());
      nft.commit(transaction);
    }
  };
  add("of-the-pod", "any");
  const startedMs = performance.now();
  assert.equal(captureDigest(fd), digest);
  add("istio-ambient-nat", "of-the-pod");
  const beforeMs = performance.now();
  assert.throws(() => captureDigest(fd), /more than 1024 rules/);
  // Listing all rules takes the kernel a time that grows with the square of their number. It would take more than half
  // of the time that adding them took.
  assert.ok(performance.now() - beforeMs < (beforeMs - startedMs) / 2, "all rules were read");
  assert.equal(hasCapture(fd), true);
});

test("IPv6 is captured like IPv4, unless the agent leaves it alone", async (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const pod = node.addPod();
  using links = new RouteNetlink(pod.namespace.fd);
  links.addAddress(2, { address: "fd00::2", prefixLength: 64 });
  links.addRoute({ destination: { address: "::", prefixLength: 0 }, linkIndex: 2 });
  const { fd } = pod.namespace;
  const listeners = openPodSockets(fd);
  context.after(() => closePodSockets(listeners));
  const dial = async (address: string): Promise<boolean> =>
    await connectTcp({ address, port: 9_999, namespaceFd: fd, timeoutMs: silenceMs }).then(
      (stream) => {
        stream.destroy();
        return true;
      },
      () => false,
    );
  const reached = async () => [await dial("10.96.0.9"), await dial("fd01::9")];
  installCapture(fd, captureAll);
  assert.deepEqual(await reached(), [true, true]);
  installCapture(fd, { ...captureAll, ipv6: false });
  assert.deepEqual(await reached(), [true, false]);
});

test("a pod's setting is written through the host's /proc, because the agent's own is read-only", (context) => {
  const setting = "sys/net/ipv4/tcp_migrate_req";
  const read = (): string => readFileSync(join("/proc", setting), "utf8").trim();
  using namespace = NetworkNamespace.create();
  allowConnectionMigration(namespace.fd, "/proc");
  assert.deepEqual([namespace.enter(read), read()], ["1", "0"]);
  const hostProc = mkdtempSync(join(tmpdir(), "serin-proc-"));
  context.after(() => rmSync(hostProc, { recursive: true, force: true }));
  mkdirSync(join(hostProc, "sys/net/ipv4"), { recursive: true });
  writeFileSync(join(hostProc, setting), "0");
  allowConnectionMigration(namespace.fd, hostProc);
  assert.equal(readFileSync(join(hostProc, setting), "utf8"), "1");
});
