import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { strangerFault, userOfPeer, type ReadTable } from "./user-of-peer.ts";

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

test("the kernel's tables name the user of a connection from this machine, also if its socket is one of IPv6", async () => {
  const rows: Record<"tcp" | "tcp6", readonly string[]> = {
    tcp: [
      "0: 0100007F:4E21 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 ffff 20 4 30 10 -1",
      "1: 0100007F:D431 0100007F:4E21 01 00000000:00000000 00:00000000 00000000  1001        0 12 1 ffff 20 4 30 10 -1",
      "2: 0100007F:D433 0100007F:4E21 04 00000000:00000000 00:00000000 00000000     0        0 0 1 ffff 20 4 30 10 -1",
      "3: 020200C0:D431 0100007F:4E21 01 00000000:00000000 00:00000000 00000000  1004        0 15 1 ffff 20 4 30 10 -1",
    ],
    tcp6: [
      "0: 0000000000000000FFFF00000100007F:D432 0000000000000000FFFF00000100007F:4E21 01 00000000:00000000 00:00000000 00000000  1002        0 13 1 ffff 20 4 30 10 -1",
      "1: 00000000000000000000000001000000:D431 00000000000000000000000001000000:4E21 01 00000000:00000000 00:00000000 00000000  1003        0 14 1 ffff 20 4 30 10 -1",
    ],
  };
  const read: ReadTable = async (table) => await Promise.resolve([header, ...rows[table]].join("\n   "));
  const userAt = async (address: string, remotePort: number): Promise<number | undefined> =>
    await userOfPeer({ remoteAddress: address, remotePort, localAddress: address, localPort: 20_001 }, read);
  assert.equal(await userAt("127.0.0.1", 54_321), 1001);
  assert.equal(await userAt("::ffff:127.0.0.1", 54_321), 1001);
  assert.equal(await userAt("127.0.0.1", 54_322), 1002);
  assert.equal(await userAt("::1", 54_321), 1003);
  assert.equal(await userAt("127.0.0.1", 54_323), -1, "its process has closed it");
  assert.equal(await userAt("127.0.0.1", 54_324), undefined);
  const fromOutside = { remotePort: 54_321, localAddress: "127.0.0.1", localPort: 20_001 };
  assert.equal(
    await userOfPeer({ ...fromOutside, remoteAddress: "192.0.2.2" }, read),
    1004,
    "bound to another address",
  );
  assert.equal(await userOfPeer({ ...fromOutside, remoteAddress: "192.0.2.3" }, read), undefined);
  const without: ReadTable = async () => await Promise.reject(new Error("ENOENT"));
  assert.equal(
    await userOfPeer({ remoteAddress: "::1", remotePort: 1, localAddress: "::1", localPort: 2 }, without),
    undefined,
  );
});

test("a process finds itself at the other end of its own connection, from every address of the machine", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const others = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address),
  );
  try {
    for (const localAddress of ["127.0.0.1", ...others]) {
      const { port } = server.address() as AddressInfo;
      const client = connect({ port, host: "127.0.0.1", localAddress });
      const [accepted] = (await once(server, "connection")) as [Socket];
      const user = await userOfPeer(accepted);
      client.destroy();
      accepted.destroy();
      assert.equal(user, process.getuid?.(), localAddress);
    }
  } finally {
    server.close();
  }
});

test("another user's browser is refused, and the user's own, root's, and that of the caller of sudo are not", () => {
  const mine = { own: 1000, sudo: undefined };
  for (const peer of [undefined, 0, 1000]) assert.equal(strangerFault(peer, mine), undefined);
  assert.match(strangerFault(1001, mine) ?? "", /id 1001, and this server as the one with the id 1000$/);
  assert.match(strangerFault(-1, mine) ?? "", /has closed its connection/);
  const bySudo = { own: 0, sudo: 1000 };
  assert.equal(strangerFault(1000, bySudo), undefined);
  assert.match(strangerFault(1001, bySudo) ?? "", /id 1001, and this server as the one with the id 1000$/);
  assert.equal(strangerFault(1001, { own: 0, sudo: undefined }), undefined);
});
