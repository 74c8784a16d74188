import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { parseClientHello } from "./client-hello.ts";
import { detectHttp } from "./http-preface.ts";
import { parseProxyHeader } from "./proxy-protocol.ts";

async function clientHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connectTls({
    ...options,
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
  });
  client.on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

test("server name and protocols are read from a ClientHello, however it is split", async () => {
  const bytes = await clientHello({ servername: "Shop.Example.com", ALPNProtocols: ["istio-http/1.1", "istio"] });
  assert.deepEqual(parseClientHello(bytes), {
    kind: "tls",
    serverName: "shop.example.com",
    alpnProtocols: ["istio-http/1.1", "istio"],
  });
  for (let length = 0; length < bytes.length; length += 1)
    assert.equal(parseClientHello(bytes.subarray(0, length)).kind, "incomplete", `${length} bytes`);
  const message = bytes.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += 100) {
    const part = message.subarray(at, at + 100);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  assert.equal(parseClientHello(Buffer.concat(records)).kind, "tls");
  // Bytes after the ClientHello do not change the result, which would otherwise depend on how many bytes come at once.
  // The TLS server judges these bytes.
  for (const rest of ["\x16\x48\x54\x54\x17\x03\x03", "GET / HTTP/1.1\r\n", "\x16\x03\x01\x00\x00"])
    assert.equal(parseClientHello(Buffer.concat([...records, Buffer.from(rest, "latin1")])).kind, "tls");
  const bare = await clientHello({});
  assert.deepEqual(parseClientHello(bare), { kind: "tls", serverName: "", alpnProtocols: [] });
});

test("the first byte shows that a connection is not TLS", () => {
  for (const text of ["GET / HTTP/1.1\r\n", "\x16\x04", "\x17\x03\x01", "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"]) {
    assert.equal(parseClientHello(Buffer.from(text, "latin1")).kind, "not-tls", JSON.stringify(text));
  }
});

test("HTTP is recognised by its method and version", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", "incomplete"],
    ["G", "incomplete"],
    ["GET /x", "incomplete"],
    ["GET /x HTTP/1.1\r\n", "http/1.1"],
    ["POST /x HTTP/1.0\n", "http/1.0"],
    ["GET /x HTTP/3\r\n", "none"],
    ["GETX", "none"],
    ["\x16\x03", "none"],
    ["PRI * HT", "incomplete"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2c"],
    ["P", "incomplete"],
    ["PX", "none"],
  ];
  for (const [text, expected] of cases)
    assert.equal(detectHttp(Buffer.from(text, "latin1")), expected, JSON.stringify(text));
});

test("a PROXY header of either version names its client", () => {
  const text = Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\nGET");
  assert.deepEqual(parseProxyHeader(text), {
    kind: "header",
    version: 1,
    length: 36,
    remote: { address: "1.2.3.4", port: 1000 },
    local: { address: "5.6.7.8", port: 80 },
  });
  assert.equal(parseProxyHeader(text.subarray(0, 20)).kind, "incomplete");
  assert.equal(parseProxyHeader(Buffer.from("GET / HTTP/1.1\r\n")).kind, "none");
  const binary = Buffer.concat([
    Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12]),
    Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 3, 232, 0, 80]),
  ]);
  assert.deepEqual(parseProxyHeader(binary), {
    kind: "header",
    version: 2,
    length: 28,
    remote: { address: "1.2.3.4", port: 1000 },
    local: { address: "5.6.7.8", port: 80 },
  });
  for (let length = 1; length < binary.length; length += 1)
    assert.equal(parseProxyHeader(binary.subarray(0, length)).kind, "incomplete");
});
