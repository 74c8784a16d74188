import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createPlainServer, get, request as requestHttp, type Server as PlainServer } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { createAuthority, issueCertificate } from "./certificate.ts";
import { NodeClient } from "./node-client.ts";

const hourMs = 3_600_000;

function credentials() {
  const times = { notBeforeMs: Date.now() - hourMs, notAfterMs: Date.now() + hourMs };
  const authority = createAuthority("test", times.notBeforeMs, times.notAfterMs);
  const issue = (commonName: string, usage: "server" | "client") =>
    issueCertificate(authority, { commonName, subjectAltNames: ["127.0.0.1"], usages: [usage], ...times });
  return { ca: authority.certificatePem, node: issue("node", "server"), client: issue("apiserver", "client") };
}

interface Relay {
  /** Sends a request through the client to the node. Returns its answer. */
  readonly sendRequest: (method?: string) => Promise<string>;
  /** The node's connections, in order. */
  readonly connections: readonly Socket[];
}

function portOf(server: Server | PlainServer): number {
  return (server.address() as AddressInfo).port;
}

async function relay(t: TestContext): Promise<Relay> {
  const { ca, node: own, client } = credentials();
  const connections: Socket[] = [];
  const node = createServer(
    { cert: own.certificatePem, key: own.keyPem, ca, requestCert: true, rejectUnauthorized: true },
    (request, response) => void request.resume().on("end", () => response.end(`${request.method ?? ""} from the node`)),
  );
  node.on("secureConnection", (socket) => connections.push(socket));
  const nodes = new NodeClient({ certificate: client.certificatePem, key: client.keyPem, ca });
  const front = createPlainServer((request, response) => {
    const target = { protocol: "https", host: "127.0.0.1", port: portOf(node), path: "/logs", toNode: true } as const;
    nodes.forward(target, request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  for (const server of [node, front]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  return {
    connections,
    sendRequest: async (method = "GET") =>
      await new Promise<string>((resolve, reject) => {
        const options = { port: portOf(front), method, agent: false };
        const outgoing = method === "GET" ? get(options) : requestHttp(options);
        outgoing.on("error", reject).on("response", (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (part: string) => (text += part));
          answer.on("end", () => resolve(text));
        });
        outgoing.end(method === "GET" ? undefined : "x");
      }),
  };
}

test("requests that only read share a connection to the node", async (t) => {
  const { sendRequest, connections } = await relay(t);
  for (let count = 0; count < 3; count += 1) assert.equal(await sendRequest(), "GET from the node");
  assert.equal(connections.length, 1);
});

test("a request that only reads succeeds even if the node has closed the kept connection", async (t) => {
  const { sendRequest, connections } = await relay(t);
  await sendRequest();
  // The client notices the end of the connection only when it has sent the next request.
  connections[0]?.once("data", () => connections[0]?.destroy());
  assert.equal(await sendRequest(), "GET from the node");
  assert.equal(connections.length, 2);
});

test("a request that changes something has a connection of its own, because it must not be sent twice", async (t) => {
  const { sendRequest, connections } = await relay(t);
  await sendRequest();
  assert.equal(await sendRequest("POST"), "POST from the node");
  assert.equal(connections.length, 2);
});
