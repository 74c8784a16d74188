import { align4, netlinkTypes, splitReplies, type NetlinkReply } from "../wire/netlink/index.ts";
import { check, errorName, lastErrorName, libc, linux } from "./libc.ts";
import { inNamespace } from "./network-namespace.ts";
import { systemError } from "./node-error.ts";

const netlinkLevel = 270;
const capAcknowledgements = 10;
const wantedBufferBytes = 4 << 20;
const receiveBytes = 1 << 16;
const forceSendBuffer = 32;
const forceReceiveBuffer = 33;

/**
 * A netlink socket for synchronous use. The kernel has answered before a send returns, so no receive blocks for long.
 */
export class NetlinkSocket implements Disposable {
  readonly #buffer = Buffer.alloc(receiveBytes);
  #fd: number;
  #sequence = 1;

  /**
   * Opens the socket in the namespace of the descriptor, or in the thread's own. The socket stays in that namespace.
   */
  constructor(protocol: "route" | "netfilter", namespaceFd?: number) {
    this.#fd = inNamespace(namespaceFd, () =>
      check(
        `netlink socket of ${protocol === "route" ? "routes" : "nf_tables"}`,
        libc().socket(linux.familyNetlink, linux.socketRaw | linux.closeOnExec, protocol === "route" ? 0 : 12),
      ),
    );
    this.#trySetOption(netlinkLevel, capAcknowledgements, 1);
    // Forcing a buffer's size needs CAP_NET_ADMIN on the host. The plain option is limited by wmem_max and rmem_max.
    for (const [force, plain] of [
      [forceSendBuffer, linux.sendBufferBytes],
      [forceReceiveBuffer, linux.receiveBufferBytes],
    ] as const) {
      if (!this.#trySetOption(linux.levelSocket, force, wantedBufferBytes))
        this.#trySetOption(linux.levelSocket, plain, wantedBufferBytes);
    }
  }

  /** Writes the next sequence number into a message, and returns it. */
  number(message: Buffer): number {
    const sequence = this.#sequence;
    this.#sequence += 1;
    message.writeUInt32LE(sequence, 8);
    return sequence;
  }

  send(messages: readonly Buffer[]): void {
    const bytes = messages.length === 1 ? (messages[0] ?? Buffer.alloc(0)) : Buffer.concat(messages.map(padded));
    const sent = libc().send(this.#fd, bytes, bytes.length, 0);
    if (sent < 0) throw systemError(`netlink send of ${bytes.length} bytes`, lastErrorName());
  }

  /** Receives one datagram, which may have several replies. */
  receive(): NetlinkReply[] {
    const length = check("netlink receive", libc().recv(this.#fd, this.#buffer, this.#buffer.length, 0));
    return [...splitReplies(Buffer.from(this.#buffer.subarray(0, length)))];
  }

  /**
   * Sends a dump request and yields each part of the answer. Do not keep all parts, because a pod may fill its network
   * namespace with any number of objects. A caller that stops early must close the socket, because the kernel continues
   * the dump.
   */
  *dump(operation: string, request: Buffer): Generator<Buffer, undefined> {
    const sequence = this.number(request);
    this.send([request]);
    for (;;) {
      for (const reply of this.receive()) {
        if (reply.sequence !== sequence) continue;
        if (reply.type === netlinkTypes.done) return undefined;
        if (reply.type === netlinkTypes.error) throw systemError(operation, replyError(reply) ?? "EINVAL");
        yield reply.payload;
      }
    }
  }

  /** Whether an object exists. `request` must ask for that object alone, without the dump flag. */
  exists(operation: string, request: Buffer): boolean {
    const sequence = this.number(request);
    this.send([request]);
    for (;;) {
      for (const reply of this.receive()) {
        if (reply.sequence !== sequence) continue;
        if (reply.type !== netlinkTypes.error) return true;
        const fault = replyError(reply);
        if (fault === "ENOENT") return false;
        throw systemError(operation, fault ?? "EINVAL");
      }
    }
  }

  close(): void {
    if (this.#fd < 0) return;
    libc().close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #trySetOption(level: number, name: number, value: number): boolean {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return libc().setsockopt(this.#fd, level, name, bytes, 4) === 0;
  }
}

/** The errno's name of an error reply. Undefined for an acknowledgement. */
export function replyError(reply: NetlinkReply): string | undefined {
  const number = reply.payload.readInt32LE(0);
  return number === 0 ? undefined : errorName(-number);
}

function padded(message: Buffer): Buffer {
  const extra = align4(message.length) - message.length;
  return extra === 0 ? message : Buffer.concat([message, Buffer.alloc(extra)]);
}
