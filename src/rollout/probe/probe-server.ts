import type { Server } from "node:http";
import { aborted, limitConnections, nodeHttp } from "../../base/index.ts";

/** A server's answer: its own name, and the client's identity according to the proxy in front of it. */
export interface ProbeAnswer {
  readonly server: string;
  /** The unchanged `x-forwarded-client-cert` field. Empty if the request had none. */
  readonly clientCertificate: string;
}

export interface ProbeServerOptions {
  readonly name: string;
  readonly ports: readonly number[];
}

/** The server side of probes. Answers every request with a {@link ProbeAnswer} and closes the connection. */
export async function runProbeServer({ name, ports }: ProbeServerOptions, signal: AbortSignal): Promise<void> {
  const servers = ports.map((port) => answering(name).listen(port));
  await aborted(signal);
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
}

function answering(name: string): Server {
  const server = nodeHttp().createServer((request, response) => {
    const field = request.headers["x-forwarded-client-cert"];
    const answer: ProbeAnswer = { server: name, clientCertificate: typeof field === "string" ? field : "" };
    response.writeHead(200, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(answer));
  });
  limitConnections(server);
  return server;
}
