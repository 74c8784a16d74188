import { once } from "node:events";
import { createServer, Socket } from "node:net";
import { messageOf, transientError, type Clock } from "../../base/index.ts";
import { mayMarkSockets, openTcpSocketInNamespace } from "../../net/index.ts";
import type { RedirectOptions } from "./redirect-options.ts";
import { ownMark } from "./redirect-rule.ts";

const retryMs = 100;
const attemptMs = 1_000;
/** An address on which no process listens. A connection to it can succeed only through a redirect. */
const probe = { host: "127.0.0.6", port: 15_002 } as const;

/**
 * Checks whether the traffic of the pod in which this runs is redirected: a connection must arrive at the inbound port
 * of the proxy. Throws a transient error if none has arrived after `timeoutMs`.
 */
export async function checkRedirect(
  { inboundPort, mode }: Pick<RedirectOptions, "inboundPort" | "mode">,
  timeoutMs: number,
  clock: Clock,
): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  server.listen(inboundPort, "0.0.0.0");
  await once(server, "listening");
  const deadlineMs = clock.steadyMs() + timeoutMs;
  try {
    for (;;) {
      const fault = await connectFault(ownMark(mode));
      if (fault === undefined) return;
      if (clock.steadyMs() >= deadlineMs) {
        throw transientError("redirect-missing", `this pod's traffic is not redirected to its sidecar: ${fault}`, {
          hint: "the CNI agent of the node writes the redirect; read the log of istio-cni-node, then delete this pod to start it again",
        });
      }
      await clock.sleep(retryMs);
    }
  } finally {
    server.close();
  }
}

async function connectFault(mark: number): Promise<string | undefined> {
  const marked = mayMarkSockets(mark) ? { mark } : {};
  const fd = openTcpSocketInNamespace(undefined, { family: "ipv4", ...marked });
  const socket = new Socket({ fd, readable: true, writable: true, manualStart: true } as ConstructorParameters<
    typeof Socket
  >[0]);
  socket.setTimeout(attemptMs, () => socket.destroy(new Error("no answer")));
  try {
    const connected = once(socket, "connect");
    socket.connect(probe);
    await connected;
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    socket.destroy();
  }
}
