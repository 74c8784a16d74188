import type { IncomingMessage } from "node:http";
import { connect, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { messageOf, userError } from "../../../base/index.ts";
import { openTcpSocketInNamespace } from "../../../net/index.ts";
import { answerSpdyUpgrade, upgradeWebSocket, webSocketBytes } from "./remote-streams.ts";
import { SpdyConnection, type SpdyDuplex } from "./spdy-connection.ts";

const protocol = "portforward.k8s.io";
const tunnelProtocol = "SPDY/3.1+portforward.k8s.io";
const maxPort = 65_535;

/**
 * Returns the descriptor of the pod's network namespace, or undefined if the pod is in its node's network. Throws if
 * the pod has no sandbox.
 */
export type PodNetwork = () => number | undefined;

/**
 * Serves `kubectl port-forward` over SPDY, or over SPDY inside a WebSocket. Each pair of streams goes to a port of the
 * pod's 127.0.0.1.
 *
 * The server looks up the pod's network for each pair, because the pod may end while the client stays connected. The
 * old descriptor is then closed, or belongs to another pod. Throws before the upgrade if the pod has no network.
 */
export async function servePortForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  network: PodNetwork,
): Promise<void> {
  network();
  const upgrade = request.headers.upgrade?.toLowerCase() ?? "";
  let bytes: Duplex;
  if (upgrade.startsWith("spdy/")) {
    answerSpdyUpgrade(socket, protocol);
    bytes = socket;
    if (head.length > 0) socket.unshift(head);
  } else if (upgrade === "websocket")
    bytes = webSocketBytes(await upgradeWebSocket(request, socket, head, [tunnelProtocol]));
  else throw userError("stream-refused", "unable to upgrade: SPDY/3.1 or websocket is needed");
  const pairs = new Map<string, { data?: SpdyDuplex; error?: SpdyDuplex }>();
  const connection = new SpdyConnection(bytes, (stream) => {
    const id = stream.header("requestid") ?? "";
    const pair = pairs.get(id) ?? {};
    pairs.set(id, pair);
    if (stream.header("streamtype") === "error") pair.error = stream;
    else pair.data = stream;
    if (pair.data === undefined || pair.error === undefined) return;
    pairs.delete(id);
    forward(pair.data, pair.error, Number(pair.data.header("port")), network);
  });
  bytes.once("close", () => connection.close());
}

function forward(data: SpdyDuplex, error: SpdyDuplex, port: number, network: PodNetwork): void {
  const refuse = (why: string): void => {
    error.end(`error forwarding port ${port} to pod: ${why}`);
    data.destroy();
  };
  let target: Socket;
  try {
    target = dial(network(), port);
  } catch (fault) {
    refuse(messageOf(fault));
    return;
  }
  target.once("error", (fault) => refuse(`dial tcp4 127.0.0.1:${port}: ${fault.message}`));
  target.once("connect", () => error.end());
  target.pipe(data);
  data.pipe(target);
  data.once("close", () => target.destroy());
  target.once("close", () => data.end());
}

function dial(network: number | undefined, port: number): Socket {
  if (!Number.isInteger(port) || port < 1 || port > maxPort) throw new RangeError(`a port is from 1 to ${maxPort}`);
  if (network === undefined) return connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  const fd = openTcpSocketInNamespace(network, { family: "ipv4" });
  const socket = new Socket({
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    manualStart: true,
  } as ConstructorParameters<typeof Socket>[0]);
  socket.connect({ host: "127.0.0.1", port });
  return socket;
}
