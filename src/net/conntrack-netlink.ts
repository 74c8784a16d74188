import {
  deleteConntrackMessage,
  listTranslatedMessage,
  listUnansweredMessage,
  netlinkTypes,
  readTranslatedDatagrams,
  readUnansweredConnect,
  type TrackedEntry,
} from "../wire/netlink/index.ts";
import { NetlinkSocket, replyError } from "./netlink-socket.ts";
import { systemError } from "./node-error.ts";

/** A translation of UDP: datagrams to the one port go to the other port. */
export interface DatagramTranslation {
  readonly destinationPort: number;
  readonly translatedPort: number;
}

/**
 * Deletes the kernel's entries for a translation of UDP in a network namespace, and returns how many it deleted. An
 * entry lives up to two minutes after its last datagram, even if the rule that made it is gone. Until then, the kernel
 * would also translate the datagrams of a new socket with the same local port.
 */
export function forgetTranslatedDatagrams(namespaceFd: number, wanted: DatagramTranslation): number {
  using socket = new NetlinkSocket("netfilter", namespaceFd);
  return forgetAll(socket, listTranslatedMessage(), (payload) => {
    const entry = readTranslatedDatagrams(payload);
    const isWanted =
      entry?.destinationPort === wanted.destinationPort && entry.translatedPort === wanted.translatedPort;
    return isWanted ? entry : undefined;
  });
}

/**
 * Deletes the kernel's entries for unanswered TCP connects to endpoints (`address:port`) that are no longer current, in
 * the calling thread's network namespace. Returns how many it deleted. An entry lives for two minutes after the last
 * attempt. Until then, the kernel sends each repeated SYN to the endpoint that it chose first, and also the SYNs of
 * later connections from the same port.
 */
export function forgetUnansweredConnects(isCurrent: (endpoint: string) => boolean): number {
  using socket = new NetlinkSocket("netfilter");
  return forgetAll(socket, listUnansweredMessage(), (payload) => {
    const entry = readUnansweredConnect(payload);
    return entry === undefined || isCurrent(entry.endpoint) ? undefined : entry;
  });
}

/**
 * The maximum number of entries that one call deletes. A pod can make the kernel track hundreds of thousands of
 * connections, and deleting them all would block the caller for seconds. The rest expires within two minutes.
 */
const maxForgotten = 16_384;

/** Deletes the entries that `wanted` returns for the listed payloads. Returns how many it deleted. */
function forgetAll(socket: NetlinkSocket, list: Buffer, wanted: (payload: Buffer) => TrackedEntry | undefined): number {
  const entries: TrackedEntry[] = [];
  for (const payload of socket.dump("list tracked connections", list)) {
    const entry = wanted(payload);
    if (entry !== undefined && entries.length < maxForgotten) entries.push(entry);
  }
  for (const entry of entries) forget(socket, entry);
  return entries.length;
}

function forget(socket: NetlinkSocket, entry: TrackedEntry): void {
  const message = deleteConntrackMessage(entry);
  const sequence = socket.number(message);
  socket.send([message]);
  const fault = awaitReply(socket, sequence);
  // Ignore an entry that has expired since it was listed.
  if (fault !== undefined && fault !== "ENOENT") throw systemError("delete a tracked connection", fault);
}

/** Waits for the reply to a message. Returns the errno's name if the kernel refused the message. */
function awaitReply(socket: NetlinkSocket, sequence: number): string | undefined {
  for (;;) {
    for (const reply of socket.receive())
      if (reply.sequence === sequence && reply.type === netlinkTypes.error) return replyError(reply);
  }
}
