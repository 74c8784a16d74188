import assert from "node:assert/strict";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { createLogger } from "../../base/index.ts";
import { bindUdpInNamespace, check, inNamespace, libc, NetworkNamespace, RouteNetlink } from "../../net/index.ts";
import { requireOwnNetwork } from "../../net/testing/index.ts";
import { serveDnsUdp } from "./dns-listener.ts";

requireOwnNetwork();

const port = 15_053;
const headerBytes = 8;
const [familyIpv4, rawSocket, udp] = [2, 3, 17];

/** Sends a datagram from port 0, as a pod with the capability NET_RAW can. Most pods have it. */
function sendFromNoPort(namespaceFd: number, text: string): void {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(headerBytes + text.length, 4);
  const datagram = Buffer.concat([header, Buffer.from(text)]);
  const destination = Buffer.from([familyIpv4, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  const fd = inNamespace(namespaceFd, () => check("socket", libc().socket(familyIpv4, rawSocket, udp)));
  try {
    check("connect", libc().connect(fd, destination, destination.length));
    check("send", libc().send(fd, datagram, datagram.length, 0));
  } finally {
    libc().close(fd);
  }
}

test("a datagram without a source port gets no answer, and the next query does", async () => {
  using namespace = NetworkNamespace.create();
  {
    using links = new RouteNetlink(namespace.fd);
    links.setLoopbackUp();
  }
  const asked: string[] = [];
  const answer = async (query: Buffer): Promise<Buffer> => {
    asked.push(String(query));
    return await Promise.resolve(Buffer.from("answer"));
  };
  const fd = bindUdpInNamespace(namespace.fd, { address: "127.0.0.1", port });
  const listener = await serveDnsUdp(fd, false, answer, createLogger({ scope: "test", level: "error" }));
  const client = createSocket("udp4");
  const bound = once(client, "listening");
  client.bind({ fd: bindUdpInNamespace(namespace.fd, { address: "127.0.0.1", port: 0 }) });
  await bound;
  sendFromNoPort(namespace.fd, "forged");
  client.send("query", port, "127.0.0.1");
  const [received] = (await once(client, "message")) as [Buffer];
  assert.equal(String(received), "answer");
  assert.deepEqual(asked, ["query"]);
  client.close();
  listener.close();
});
