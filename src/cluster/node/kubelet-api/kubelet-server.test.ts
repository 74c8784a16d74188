import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { silentLogger } from "../../../base/index.ts";
import { nodeCertificates } from "../../apiserver/testing/node-certificates.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import { KubeletServer } from "./kubelet-server.ts";

test("a port-forward to a pod that does not run is refused, and does not reach the node's own ports", async (context) => {
  const { ca, node, client } = nodeCertificates();
  const pod = { metadata: { namespace: "shop", name: "ended" }, spec: { containers: [] } };
  const worker = { pod, sandbox: undefined } as unknown as PodWorker;
  const server = new KubeletServer({
    address: "127.0.0.1",
    port: 0,
    certificate: node.certificatePem,
    key: node.keyPem,
    clientCa: ca,
    nodeName: "node-a",
    worker: () => worker,
    workers: () => [worker],
    usage: () => Promise.reject(new Error("not asked for")),
    log: silentLogger,
  });
  const stop = new AbortController();
  const listening = Promise.withResolvers<number>();
  const running = server.run(stop.signal, listening.resolve);
  context.after(async () => {
    stop.abort();
    await running;
  });
  const outgoing = request({
    host: "127.0.0.1",
    port: await listening.promise,
    path: "/portForward/shop/ended",
    method: "POST",
    headers: { connection: "Upgrade", upgrade: "SPDY/3.1", "content-length": "0" },
    ca,
    cert: client.certificatePem,
    key: client.keyPem,
    agent: false,
  });
  const outcome = await new Promise<string>((resolve, reject) => {
    outgoing.once("upgrade", (_answer, socket: Duplex) => {
      socket.destroy();
      resolve("forwards");
    });
    outgoing.once("response", (answer: IncomingMessage) => {
      answer.toArray().then((parts) => resolve(`${answer.statusCode ?? 0} ${parts.join("")}`), reject);
    });
    outgoing.once("error", reject);
    outgoing.end();
  });
  assert.equal(outcome, '404 pod "shop/ended" is not running');
});
