import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/index.ts";
import { requireOwnNetwork } from "../../net/testing/index.ts";
import { answerFrom, sendUnansweredAck } from "../testing/crafted-packet.ts";
import { askOnce, TestClient, TestNode } from "../testing/test-node.ts";
import { applyRedirect, checkRedirect, planRedirect, readRedirectCommand, removeRedirect } from "./index.ts";

requireOwnNetwork();

const injected = ["-m", "TPROXY", "-u", "1337", "-i", "*", "-b", "*", "-d", "15090,15021,15020"];
/**
 * The marks of the proxy's connections: those to the application, which have the client's address, and its other
 * connections.
 */
const marks = { toApplication: 1337, own: 1338 } as const;

function rules(...more: readonly string[]): ReturnType<typeof planRedirect> {
  return planRedirect(readRedirectCommand([...injected, ...more], {}, "").options);
}

async function who(answer: Promise<string> | string): Promise<string> {
  return (await answer).split(" ")[0] ?? "";
}

test("inbound connections keep their destination and, up to the application, the client's address", async () => {
  using node = {
    host: new TestNode(),
    [Symbol.dispose](): void {
      this.host.close();
    },
  };
  const { host } = node;
  const [pod, peer] = [host.addPod(), host.addPod()];
  await host.proxyTransparently(pod, 15_006, marks.toApplication);
  for (const [port, name] of [
    [15_001, "outbound"],
    [8080, "app"],
    [3306, "database"],
    [15_021, "readiness"],
  ] as const)
    await host.serve(pod, port, name);
  await host.serve(peer, 8080, "peer");
  const [own, other] = [pod.namespace.fd, peer.namespace.fd];

  applyRedirect(rules(), own);
  applyRedirect(rules(), own);
  assert.equal(await askOnce(other, pod.address, 8080), `proxy says app saw ${peer.address}: x`);
  assert.equal(await askOnce(other, pod.address, 3306), `proxy says database saw ${peer.address}: x`);
  assert.equal(await who(askOnce(other, pod.address, 15_021)), "readiness");
  const kept = await TestClient.connect(other, pod.address, 8080);
  for (const line of ["one", "two"]) assert.equal(await kept.ask(line), `proxy says app saw ${peer.address}: ${line}`);
  kept.close();
  pod.namespace.enter(() => writeFileSync("/proc/sys/net/ipv4/tcp_syncookies", "2"));
  assert.equal(await askOnce(other, pod.address, 8080), `proxy says app saw ${peer.address}: x`, "by a SYN cookie");

  await host.serve(pod, 9090, "late");
  applyRedirect(rules("-z", "16006"), own);
  const unheard = askOnce(other, pod.address, 9090).then(who, () => "refused");
  assert.equal(await Promise.race([unheard, sleep(300, "silence")]), "silence", "nothing passes an absent proxy");
  applyRedirect(rules(), own);
  assert.equal(await unheard, "proxy", "the client's kernel tries again");

  assert.equal(await who(askOnce(own, peer.address, 8080)), "outbound");
  assert.equal(await who(askOnce(own, peer.address, 8080, "x", marks.own)), "peer", "what the proxy sends passes");
  assert.equal(await who(askOnce(own, "127.0.0.1", 8080)), "app");
  assert.equal(await who(askOnce(own, pod.address, 8080)), "app", "an application that calls its pod's address");

  applyRedirect(rules("-b", "3306"), own);
  assert.equal(await who(askOnce(other, pod.address, 8080)), "app");
  assert.equal(await who(askOnce(other, pod.address, 3306)), "proxy");
  applyRedirect(rules("-b", ""), own);
  assert.equal(await who(askOnce(other, pod.address, 3306)), "database", "no port is intercepted");
  assert.equal(await who(askOnce(own, peer.address, 8080)), "outbound");
  applyRedirect(rules(), own);
  removeRedirect(own);
  assert.equal(await who(askOnce(other, pod.address, 3306)), "database");
});

test("no packet before a connection leads it past the proxy", async (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const [pod, peer] = [node.addPod(), node.addPod()];
  await node.proxyTransparently(pod, 15_006, marks.toApplication);
  await node.serve(pod, 8080, "app");
  applyRedirect(rules(), pod.namespace.fd);
  const connection = { from: peer, fromPort: 40_001, to: pod, toPort: 8080 };
  sendUnansweredAck(connection);
  assert.match(await answerFrom(connection, 20_000), /^proxy says/, "the kernel has seen an ACK of the connection");
  const afterReply = { ...connection, fromPort: 40_002 };
  sendUnansweredAck({ from: pod, fromPort: 8080, to: peer, toPort: afterReply.fromPort }, marks.own);
  assert.doesNotMatch(await answerFrom(afterReply, 500), /^app/, "the kernel takes the SYN for an answer");
});

test("the check of an init container passes with the rules, and fails without", async () => {
  applyRedirect(rules());
  await checkRedirect({ inboundPort: 15_006, mode: "TPROXY" }, 0, systemClock);
  removeRedirect();
  await assert.rejects(checkRedirect({ inboundPort: 15_006, mode: "TPROXY" }, 0, systemClock), /not redirected/);
});
