import assert from "node:assert/strict";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { bindUdpInNamespace } from "../../net/index.ts";
import { askOnce, askUdp, TestNode } from "../testing/test-node.ts";
import { systemClock } from "../../base/index.ts";
import {
  applyRedirect,
  checkRedirect,
  hasRedirect,
  planRedirect,
  readRedirectCommand,
  removeRedirect,
} from "./index.ts";
import { requireOwnNetwork } from "../../net/testing/index.ts";

requireOwnNetwork();

const injected = [
  "-p",
  "15001",
  "-z",
  "15006",
  "-u",
  "1337",
  "-m",
  "REDIRECT",
  "-i",
  "*",
  "-x",
  "",
  "-b",
  "*",
  "-d",
  "15090,15021,15020",
];
const mark = 0x539;

function rules(...more: readonly string[]): ReturnType<typeof planRedirect> {
  return planRedirect(readRedirectCommand([...injected, ...more], {}, "nameserver 10.96.0.10\n").options);
}

async function who(answer: Promise<string>): Promise<string> {
  return (await answer).split(" ")[0] ?? "";
}

test("a pod's traffic passes its sidecar in, out and to itself, except the proxy's own connections", async () => {
  using node = {
    host: new TestNode(),
    [Symbol.dispose](): void {
      this.host.close();
    },
  };
  const { host } = node;
  const [pod, peer] = [host.addPod(), host.addPod()];
  for (const [port, name] of [
    [15_001, "outbound"],
    [15_006, "inbound"],
    [8080, "app"],
    [15_021, "readiness"],
    [3306, "database"],
  ] as const)
    await host.serve(pod, port, name);
  for (const port of [8080, 3306]) await host.serve(peer, port, "peer");
  const own = pod.namespace.fd;

  applyRedirect(rules());
  // The rules are in this process's own namespace. The second call finds and replaces them.
  applyRedirect(rules());
  assert.equal(hasRedirect(), true);
  await checkRedirect({ inboundPort: 15_006, mode: "REDIRECT" }, 0, systemClock);
  removeRedirect();
  await assert.rejects(
    checkRedirect({ inboundPort: 15_006, mode: "REDIRECT" }, 0, systemClock),
    /not redirected to its sidecar: connect ECONNREFUSED/,
  );
  assert.equal(hasRedirect(), false);

  applyRedirect(rules(), own);
  assert.equal(await who(askOnce(peer.namespace.fd, pod.address, 8080)), "inbound");
  assert.equal(await who(askOnce(peer.namespace.fd, pod.address, 15_021)), "readiness");
  assert.equal(await who(askOnce(own, peer.address, 8080)), "outbound");
  assert.equal(await who(askOnce(own, peer.address, 8080, "x", mark)), "peer");
  assert.equal(await who(askOnce(own, "127.0.0.1", 8080)), "app");
  assert.equal(
    await who(askOnce(own, pod.address, 8080)),
    "app",
    "an application that calls its pod's address talks to itself",
  );
  assert.equal(
    await who(askOnce(own, pod.address, 8080, "x", mark)),
    "inbound",
    "what the proxy sends to its own pod comes in again",
  );

  applyRedirect(rules("-o", "3306", "-x", `${peer.address}/32`), own);
  assert.equal(await who(askOnce(own, peer.address, 8080)), "peer");
  applyRedirect(rules("-o", "3306"), own);
  assert.equal(await who(askOnce(own, peer.address, 3306)), "peer");
  assert.equal(await who(askOnce(own, peer.address, 8080)), "outbound");
  applyRedirect(rules("-b", "3306"), own);
  assert.equal(await who(askOnce(peer.namespace.fd, pod.address, 8080)), "app");
  assert.equal(await who(askOnce(peer.namespace.fd, pod.address, 3306)), "inbound");
  applyRedirect(rules("-u", "0"), own);
  assert.equal(await who(askOnce(own, peer.address, 8080)), "peer", "what the proxy's user sends passes");
});

test("queries to the cluster's DNS go to the proxy on request, and to other servers only if all DNS is captured", async () => {
  using node = {
    host: new TestNode(),
    [Symbol.dispose](): void {
      this.host.close();
    },
  };
  const pod = node.host.addPod();
  const resolver = createSocket("udp4", (message, from) =>
    resolver.send(`proxy:${message.toString()}`, from.port, from.address),
  );
  const listening = once(resolver, "listening");
  resolver.bind({ fd: bindUdpInNamespace(pod.namespace.fd, { address: "127.0.0.1", port: 15_053 }) });
  await listening;
  try {
    applyRedirect(rules("--redirect-dns"), pod.namespace.fd);
    assert.equal(await askUdp(pod.namespace.fd, pod, "10.96.0.10", 53, "name"), "proxy:name");
    applyRedirect(rules("--redirect-dns", "--capture-all-dns"), pod.namespace.fd);
    assert.equal(await askUdp(pod.namespace.fd, pod, "8.8.8.8", 53, "name"), "proxy:name");
  } finally {
    resolver.close();
  }
});
