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

/** Which translations to forget: the port that datagrams were sent to, and the port that got them. */
export interface DatagramTranslation {
  readonly destinationPort: number;
  readonly translatedPort: number;
}

/**
 * Deletes the kernel's entries for a translation of UDP in a network namespace, and returns their number. Such an entry
 * lives for up to two minutes after its last datagram, and outlives the rule that made it. A socket that gets the same
 * local port meanwhile would be translated too.
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
 * Deletes the kernel's entries for TCP connects that have no answer yet and were sent to another endpoint
 * (`address:port`) than the current ones, in the calling thread's network namespace. Returns their number. Such an
 * entry lives for two minutes after the last attempt. It sends each repeated SYN to the endpoint that was chosen first.
 * It does the same with the SYNs of later connections from the same port.
 */
export function forgetUnansweredConnects(isCurrent: (endpoint: string) => boolean): number {
  using socket = new NetlinkSocket("netfilter");
  return forgetAll(socket, listUnansweredMessage(), (payload) => {
    const entry = readUnansweredConnect(payload);
    return entry === undefined || isCurrent(entry.endpoint) ? undefined : entry;
  });
}

/**
 * The maximum number of entries that one call deletes. A pod can make the kernel track hundreds of thousands, which
 * would block the caller for seconds. The others expire within two minutes.
 */
const maxForgotten = 16_384;

/** Deletes those of the listed entries for which `wanted` returns one, and returns their number. */
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
  // The entry may have expired since it was listed.
  if (fault !== undefined && fault !== "ENOENT") throw systemError("delete a tracked connection", fault);
}

/** The errno's name if the kernel refused the message. */
function awaitReply(socket: NetlinkSocket, sequence: number): string | undefined {
  for (;;) {
    for (const reply of socket.receive())
      if (reply.sequence === sequence && reply.type === netlinkTypes.error) return replyError(reply);
  }
}
