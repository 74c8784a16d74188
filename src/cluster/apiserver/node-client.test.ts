import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer as createPlainServer,
  get,
  request as requestHttp,
  type IncomingMessage,
  type Server as PlainServer,
} from "node:http";
import { createServer, type Server } from "node:https";
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import type { Duplex } from "node:stream";
import { test, type TestContext } from "node:test";
import { NodeClient } from "./node-client.ts";
import { nodeCertificates } from "./testing/node-certificates.ts";

interface Relay {
  readonly sendRequest: (method?: string) => Promise<string>;
  /** The node's connections, in order. */
  readonly connections: readonly Socket[];
  /** The node's requests: method, path and the length of the body. */
  readonly requests: readonly string[];
  readonly nodes: NodeClient;
  readonly front: number;
}

function portOf(server: Server | PlainServer | TcpServer): number {
  return (server.address() as AddressInfo).port;
}

async function relay(t: TestContext): Promise<Relay> {
  const { ca, node: own, client } = nodeCertificates();
  const connections: Socket[] = [];
  const requests: string[] = [];
  const node = createServer(
    { cert: own.certificatePem, key: own.keyPem, ca, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      let bytes = 0;
      request.on("data", (piece: Buffer) => (bytes += piece.length));
      request.on("end", () => {
        requests.push(`${request.method ?? ""} ${request.url ?? ""} ${bytes}`);
        response.end(`${request.method ?? ""} from the node`);
      });
    },
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
    requests,
    nodes,
    front: portOf(front),
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

test("a request that only reads succeeds even if the node has closed the reused connection", async (t) => {
  const { sendRequest, connections } = await relay(t);
  await sendRequest();
  // The node closes the connection only after the client has sent its next request.
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

test("the body of a request that only reads does not become another request to the node, nor part of one", async (t) => {
  const { front, requests } = await relay(t);
  const smuggled = "GET /pods HTTP/1.1\r\nhost: node\r\n\r\n";
  // If the server forwarded the head without the body, the node would read this number of bytes of the next request as
  // the body of this one.
  const announced = `GET / HTTP/1.1\r\nhost: front\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`;
  const chunked = (method: string): string =>
    `${method} / HTTP/1.1\r\nhost: front\r\ntransfer-encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
  const plain = "GET / HTTP/1.1\r\nhost: front\r\n\r\n";
  for (const text of [announced, plain, chunked("GET"), chunked("DELETE"), plain])
    assert.match(await answerTo(front, text), /^HTTP\/1\.1 200 /);
  const body = (method: string): string => `${method} /logs ${smuggled.length}`;
  assert.deepEqual(requests, [body("GET"), "GET /logs 0", body("GET"), body("DELETE"), "GET /logs 0"]);
});

async function answerTo(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.setEncoding("utf8").write(text);
  const [answer] = (await once(socket, "data")) as [string];
  socket.destroy();
  return answer;
}

test("a request to a pod that switches protocols unasked, or sends interim responses without an end, fails", async (t) => {
  const endless = (socket: Socket): void => {
    const sendOn = (): void => {
      while (!socket.destroyed && socket.write("HTTP/1.1 102 Processing\r\n\r\n"));
    };
    socket.on("drain", sendOn);
    sendOn();
  };
  const switching = (socket: Socket): void =>
    void socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  for (const [answer, problem] of [
    [endless, /more than 100 interim responses/],
    [switching, /switched to another protocol/],
  ] as const) {
    const pod = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => answer(socket));
    });
    pod.listen(0, "127.0.0.1");
    await once(pod, "listening");
    const { nodes } = await relay(t);
    const target = { protocol: "http", host: "127.0.0.1", port: portOf(pod), path: "/", toNode: false } as const;
    const front = createPlainServer((request, response) => {
      nodes.forward(target, request, response).catch((error: unknown) => response.writeHead(503).end(String(error)));
    }).listen(0, "127.0.0.1");
    await once(front, "listening");
    assert.match(await answerTo(portOf(front), "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), problem);
    await assert.rejects(nodes.read(target), problem);
    front.close();
    pod.close();
  }
});

test("a pod does not get the token that a browser sends in place of a WebSocket protocol", async (t) => {
  const { nodes } = await relay(t);
  const offered: unknown[] = [];
  const pod = createPlainServer().on("upgrade", ({ headers }: IncomingMessage, socket: Duplex) => {
    offered.push(headers["sec-websocket-protocol"]);
    socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  });
  const front = createPlainServer();
  for (const server of [pod, front]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
  }
  const target = { protocol: "http", host: "127.0.0.1", port: portOf(pod), path: "/", toNode: false } as const;
  front.on("upgrade", (request, socket, head) => void nodes.upgrade(target, request, socket, head));
  const token = "base64url.bearer.authorization.k8s.io.c2VjcmV0";
  for (const protocols of [`${token}, chat, v2`, token]) {
    const head = `GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: ${protocols}\r\n\r\n`;
    assert.match(await answerTo(portOf(front), head), /^HTTP\/1\.1 101 /);
  }
  assert.deepEqual(offered, ["chat, v2", undefined]);
});

test("a node's document that does not end is not collected in the memory", async (t) => {
  const { nodes } = await relay(t);
  const node = createPlainServer((_request, response) => {
    const sendOn = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, " ")));
    };
    response.on("drain", sendOn);
    sendOn();
  }).listen(0, "127.0.0.1");
  await once(node, "listening");
  const target = { protocol: "http", host: "127.0.0.1", port: portOf(node), path: "/", toNode: false } as const;
  await assert.rejects(nodes.read(target), /the answer is longer than 8388608 bytes/);
  node.close();
});
