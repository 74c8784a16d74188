import type { Server } from "node:http";
import { aborted, nodeHttp } from "../../base/index.ts";

/** What a server answers: who it is, and whom it was told by the proxy before it that the client is. */
export interface ProbeAnswer {
  readonly server: string;
  /** `x-forwarded-client-cert` as it came; empty without one. */
  readonly clientCertificate: string;
}

export interface ProbeServerOptions {
  readonly name: string;
  readonly ports: readonly number[];
}

/** The other end of probes: answers every request with a {@link ProbeAnswer}, and ends the connection. */
export async function runProbeServer({ name, ports }: ProbeServerOptions, signal: AbortSignal): Promise<void> {
  const servers = ports.map((port) => answering(name).listen(port));
  await aborted(signal);
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
}

function answering(name: string): Server {
  return nodeHttp().createServer((request, response) => {
    const field = request.headers["x-forwarded-client-cert"];
    const answer: ProbeAnswer = { server: name, clientCertificate: typeof field === "string" ? field : "" };
    response.writeHead(200, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(answer));
  });
}
