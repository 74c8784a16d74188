// A ztunnel for tests, which runs as a separate process. It receives pods' sockets over ZDS, reports the connections
// that it accepts, and relays them in plain text. Arguments: the path of the ZDS socket, a name for its answers, its
// revision, and the number of times that it refuses a pod that is handed over.
import { createSocket } from "node:dgram";
import {
  closeDescriptor,
  connectTcp,
  ipFamilyOf,
  listenTcp,
  originalDestination,
  SeqpacketConnection,
  socketName,
  type ByteListener,
  type ByteStream,
  type SeqpacketMessage,
} from "../../net/index.ts";
import {
  decodeZdsRequest,
  encodeZdsHello,
  encodeZdsResponse,
  type ZdsListenerRole,
  type ZdsResponse,
} from "../../wire/zds/index.ts";
import { dup } from "./duplicate.ts";

interface Held {
  readonly namespaceFd: number;
  readonly listeners: readonly ByteListener[];
  readonly roles: readonly ZdsListenerRole[];
  /** Copies of the descriptors, which answer a `keep`. libuv owns the originals on which it accepts connections. */
  readonly copies: readonly number[];
  readonly close: () => void;
}

const [path = "", name = "", revision = "", refusals = "0"] = process.argv.slice(2);
let refusalsLeft = Number(refusals);
const held = new Map<string, Held>();
let live = 0;

function report(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

function relay(from: ByteStream, to: ByteStream): void {
  from.setHandler({
    data: (chunk) => {
      if (!to.write(chunk)) from.pause();
    },
    end: () => to.end(),
    drain: () => to.resume(),
    close: () => {
      to.destroy();
    },
  });
}

/** Relays a connection to its original destination. An inbound connection continues from the client's address. */
async function pass(stream: ByteStream, namespaceFd: number, role: ZdsListenerRole): Promise<void> {
  const destination = originalDestination(stream);
  if (destination === undefined) return stream.destroy({ reset: true });
  report("connection", {
    role,
    source: stream.remote.address,
    destination: `${destination.address}:${destination.port}`,
  });
  const inbound = role.startsWith("inbound");
  try {
    const onward = await connectTcp({
      ...destination,
      namespaceFd,
      mark: 0x539,
      ...(inbound ? { sourceAddress: stream.remote.address } : {}),
      timeoutMs: 2000,
    });
    live += 1;
    if (!inbound) stream.write(Buffer.from(`[${name}]`));
    relay(stream, onward);
    relay(onward, stream);
    stream.resume();
    onward.resume();
  } catch (error) {
    report("refused", { error: String(error) });
    stream.destroy({ reset: true });
  }
}

function answerDns(fd: number): () => void {
  const socket = createSocket(ipFamilyOf(socketName(fd).address) === "ipv6" ? "udp6" : "udp4");
  socket.on("message", (message, peer) =>
    socket.send(`${name} answers ${message.toString()}`, peer.port, peer.address),
  );
  socket.bind({ fd });
  return () => socket.close();
}

async function hold(uid: string, roles: readonly ZdsListenerRole[], descriptors: readonly number[]): Promise<void> {
  const [namespaceFd = -1, ...sockets] = descriptors;
  if (held.has(uid)) {
    for (const fd of descriptors) closeDescriptor(fd);
    return;
  }
  const copies = [namespaceFd, ...sockets].map(dup);
  const listeners: ByteListener[] = [];
  const datagrams: (() => void)[] = [];
  for (const [index, role] of roles.entries()) {
    const fd = sockets[index] ?? -1;
    if (role.startsWith("dns-udp")) datagrams.push(answerDns(fd));
    else listeners.push(await listenTcp({ fd }, (stream) => void pass(stream, namespaceFd, role)));
  }
  const close = (): void => {
    for (const listener of listeners) listener.close();
    for (const stop of datagrams) stop();
    for (const fd of copies) closeDescriptor(fd);
  };
  held.set(uid, { namespaceFd, listeners, roles, copies, close });
}

async function handle(
  message: SeqpacketMessage,
  named: Set<string>,
): Promise<{ readonly response: ZdsResponse; readonly descriptors: readonly number[] }> {
  const request = decodeZdsRequest(message.bytes);
  report(request.type, "uid" in request ? { uid: request.uid, descriptors: message.descriptors.length } : {});
  const done = { response: { error: "", listeners: [] }, descriptors: [] };
  switch (request.type) {
    case "add":
      named.add(request.uid);
      if (request.handedOver && refusalsLeft > 0) {
        refusalsLeft -= 1;
        for (const fd of message.descriptors) closeDescriptor(fd);
        return { ...done, response: { error: "no certificate yet", listeners: [] } };
      }
      await hold(request.uid, request.listeners, message.descriptors);
      return done;
    case "keep": {
      const known = held.get(request.uid);
      if (known === undefined) return { ...done, response: { error: "unknown workload", listeners: [] } };
      named.add(request.uid);
      return { response: { error: "", listeners: known.roles }, descriptors: known.copies };
    }
    case "delete":
      held.get(request.uid)?.close();
      held.delete(request.uid);
      return done;
    case "snapshot-sent":
      for (const [uid, known] of held) {
        if (named.has(uid)) continue;
        known.close();
        held.delete(uid);
      }
      return done;
    default:
      return request satisfies never;
  }
}

function connect(): void {
  let connection: SeqpacketConnection;
  try {
    connection = SeqpacketConnection.connect(path);
  } catch {
    setTimeout(connect, 20);
    return;
  }
  const named = new Set<string>();
  let last: Promise<void> = Promise.resolve();
  connection.start({
    message: (message) => {
      last = last.then(async () => {
        const { response, descriptors } = await handle(message, named);
        try {
          connection.send(encodeZdsResponse(response), descriptors);
        } catch {
          // The agent has ended. Send answers to the next agent only.
        }
      });
    },
    close: () => setTimeout(connect, 20),
  });
  connection.send(encodeZdsHello({ version: 1, revision, acceptsListeners: true }));
}

connect();
report("started");
