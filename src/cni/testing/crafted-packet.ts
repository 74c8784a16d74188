import { once } from "node:events";
import { Socket } from "node:net";
import { check, inNamespace, ipToBytes, libc, openTcpSocketInNamespace } from "../../net/index.ts";
import type { TestPodHost } from "./test-node.ts";

interface Tuple {
  readonly from: TestPodHost;
  readonly fromPort: number;
  readonly to: TestPodHost;
  readonly toPort: number;
}

const ack = 0x10;
const headerBytes = 40;
/**
 * A TCP option (MD5 signature) for which no socket has a key. The kernel drops a packet with this option, and sends no
 * answer.
 */
const unknownSignature = Buffer.concat([Buffer.from([19, 18]), Buffer.alloc(18)]);

/**
 * Sends an ACK that belongs to no connection. No kernel answers it, because of its TCP option. A pod needs the
 * capability NET_RAW for this, which most pods have.
 */
export function sendUnansweredAck({ from, fromPort, to, toPort }: Tuple, mark = 0): void {
  const [source, target] = [ipToBytes(from.address), ipToBytes(to.address)];
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(fromPort, 0);
  header.writeUInt16BE(toPort, 2);
  header[12] = (headerBytes / 4) << 4;
  header[13] = ack;
  header.writeUInt16BE(1024, 14);
  unknownSignature.copy(header, 20);
  const pseudoHeader = Buffer.concat([source, target, Buffer.from([0, 6, 0, headerBytes])]);
  header.writeUInt16BE(checksum(Buffer.concat([pseudoHeader, header])), 16);
  const destination = Buffer.concat([Buffer.from([2, 0, 0, 0]), target, Buffer.alloc(8)]);
  const fd = inNamespace(from.namespace.fd, () => check("socket", libc().socket(2, 3, 6)));
  try {
    const value = Buffer.alloc(4);
    value.writeInt32LE(mark);
    check("SO_MARK", libc().setsockopt(fd, 1, 36, value, value.length));
    check("connect", libc().connect(fd, destination, destination.length));
    check("send", libc().send(fd, header, header.length, 0));
  } finally {
    libc().close(fd);
  }
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * Opens a connection from this port, sends a line and returns the answer. Returns `no answer` if the connection fails.
 */
export async function answerFrom({ from, fromPort, to, toPort }: Tuple, timeoutMs: number): Promise<string> {
  const fd = openTcpSocketInNamespace(from.namespace.fd, {
    family: "ipv4",
    sourceAddress: from.address,
    sourcePort: fromPort,
  });
  const options = { fd, readable: true, writable: true, manualStart: true } as ConstructorParameters<typeof Socket>[0];
  const socket = new Socket(options);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    socket.connect({ host: to.address, port: toPort });
    await once(socket, "connect", { signal });
    socket.write("x\n");
    const [data] = (await once(socket, "data", { signal })) as [Buffer];
    return data.toString().trim();
  } catch {
    return "no answer";
  } finally {
    socket.destroy();
  }
}
