import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { connectTcp, listenTcp, originalDestination, type ByteListener, type ByteStream } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import { zdsListenerRoles } from "../wire/zds/index.ts";
import { installCapture } from "./capture-rules.ts";
import { closePodSockets, openPodSockets } from "./pod-sockets.ts";
import { TestNode } from "./testing/test-node.ts";

requireOwnNetwork();

const timeoutMs = 5_000;

test("all sockets of a pod open although its container runtime has not started the loopback interface yet", (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const { namespace } = node.addPod({ withLoopback: false });
  const sockets = openPodSockets(namespace.fd);
  closePodSockets(sockets);
  assert.deepEqual(
    sockets.map(({ role }) => role),
    [...zdsListenerRoles],
  );
});

test("a client that uses one port for two ports of a pod reaches both", async (context) => {
  const node = new TestNode();
  context.after(() => node.close());
  const pod = node.addPod();
  installCapture(pod.namespace.fd, { dns: false, bypassInbound: false, ipv6: true });
  const sockets = openPodSockets(pod.namespace.fd);
  const destinations: (number | undefined)[] = [];
  const accepted = Promise.withResolvers<void>();
  const streams: ByteStream[] = [];
  const listeners: ByteListener[] = [];
  context.after(() => {
    for (const listener of listeners) listener.close();
    for (const stream of streams) stream.destroy();
  });
  const inbound = sockets.filter(({ role }) => role === "inbound-plaintext");
  closePodSockets(sockets.filter((socket) => !inbound.includes(socket)));
  for (const { fd } of inbound)
    listeners.push(
      await listenTcp({ fd }, (stream) => {
        streams.push(stream);
        destinations.push(originalDestination(stream)?.port);
        if (destinations.length === 2) accepted.resolve();
      }),
    );
  // The client has only one port, so it must use this port for both destinations.
  const onlyPort = 40_000;
  node.namespace.enter(() => writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", `${onlyPort} ${onlyPort}`));
  for (const port of [8080, 8081]) {
    const stream = await connectTcp({ address: pod.address, port, namespaceFd: node.namespace.fd, timeoutMs });
    streams.push(stream);
    assert.equal(stream.local.port, onlyPort);
  }
  await accepted.promise;
  assert.deepEqual(destinations, [8080, 8081]);
});
