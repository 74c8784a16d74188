import type { ClientRequest } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import type { Container, Probe } from "../../../api/kubernetes/index.ts";
import { afterRunning, joinHostPort, messageOf, nodeHttp } from "../../../base/index.ts";
import { requireFinalResponse } from "../../../base/joined-bytes/index.ts";
import { grpcHealthPath, healthRequest, healthStatus, servingStatus } from "../../../wire/grpc-health/index.ts";

export interface ProbeOutcome {
  readonly success: boolean;
  readonly message: string;
}

/** Runs a command in the container. Returns its exit code and its output. Long output may be cut. */
export type ExecInContainer = (
  command: readonly string[],
  timeoutMs: number,
) => Promise<{ readonly exitCode: number; readonly output: string }>;

export interface ProbeTarget {
  readonly podIp: string;
  readonly container: Container;
  readonly exec: ExecInContainer;
}

/** The maximum size of a response body that is read, as in the kubelet. */
const maxBodyBytes = 10 * 1024;

/** Runs a probe once, from the node's network, as the kubelet does. Never throws. */
export async function attemptProbe(probe: Probe, target: ProbeTarget): Promise<ProbeOutcome> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1_000;
  try {
    if (probe.httpGet !== undefined) return await attemptHttp(probe.httpGet, target, timeoutMs);
    if (probe.tcpSocket !== undefined)
      return await attemptTcp(
        probe.tcpSocket.host ?? target.podIp,
        portNumber(probe.tcpSocket.port, target.container),
        timeoutMs,
      );
    if (probe.grpc !== undefined)
      return await attemptGrpc(target.podIp, probe.grpc.port, probe.grpc.service ?? "", timeoutMs);
    if (probe.exec !== undefined) {
      const { exitCode, output } = await target.exec(probe.exec.command ?? [], timeoutMs);
      return { success: exitCode === 0, message: exitCode === 0 ? "" : `command exited with ${exitCode}: ${output}` };
    }
    return { success: true, message: "" };
  } catch (error) {
    return { success: false, message: messageOf(error) };
  }
}

/** The port of a probe: a number, or a name that the container defines. Throws for an unknown name. */
export function portNumber(port: number | string, container: Container): number {
  if (typeof port === "number") return port;
  const named = container.ports?.find((candidate) => candidate.name === port)?.containerPort;
  const parsed = named ?? Number(port);
  if (!Number.isInteger(parsed)) throw new Error(`container "${container.name}" has no port named "${port}"`);
  return parsed;
}

/** Sends the HTTP GET of a probe or a lifecycle hook. Accepts any certificate. */
export async function attemptHttp(
  get: NonNullable<Probe["httpGet"]>,
  target: Pick<ProbeTarget, "podIp" | "container">,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const host = get.host ?? target.podIp;
  const port = portNumber(get.port, target.container);
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.36", accept: "*/*", connection: "close" };
  for (const { name, value } of get.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const path = get.path === undefined || get.path === "" ? "/" : get.path.startsWith("/") ? get.path : `/${get.path}`;
  const isSecure = get.scheme === "HTTPS";
  return await new Promise((resolve) => {
    const finish = (success: boolean, message: string): void => {
      limit[Symbol.dispose]();
      resolve({ success, message });
    };
    const failed = (error: Error): void =>
      finish(false, `Get "${isSecure ? "https" : "http"}://${joinHostPort(host, port)}${path}": ${error.message}`);
    const send = (request: ClientRequest): void => {
      open = request;
      request.once("error", failed);
      requireFinalResponse(request);
      request.once("response", (response) => {
        let bodyBytes = 0;
        response.on("data", (chunk: Buffer) => {
          bodyBytes += chunk.length;
          // Stop here, because the body may be endless, and does not affect the outcome.
          if (bodyBytes > maxBodyBytes) response.destroy();
        });
        response.once("close", () => {
          const status = response.statusCode ?? 0;
          const success = status >= 200 && status < 400;
          finish(success, success ? "" : `HTTP probe failed with statuscode: ${status}`);
        });
      });
      request.end();
    };
    let open: Socket | ClientRequest;
    const limit = afterRunning(timeoutMs, () => open.destroy(new Error("context deadline exceeded")));
    if (isSecure) {
      send(httpsRequest({ host, port, path, headers, agent: false, rejectUnauthorized: false }));
      return;
    }
    // First only connect. While a container starts, nothing listens in most runs of its probe, and a request costs five
    // times as much as a connection.
    const socket = connect({ host, port });
    open = socket;
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      send(nodeHttp().request({ host, port, path, headers, createConnection: () => socket }));
    });
  });
}

async function attemptTcp(host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (outcome: ProbeOutcome): void => {
      limit[Symbol.dispose]();
      socket.destroy();
      resolve(outcome);
    };
    const limit = afterRunning(timeoutMs, () =>
      finish({ success: false, message: `dial tcp ${joinHostPort(host, port)}: i/o timeout` }),
    );
    socket.once("error", (error) =>
      finish({ success: false, message: `dial tcp ${joinHostPort(host, port)}: ${error.message}` }),
    );
    socket.once("connect", () => finish({ success: true, message: "" }));
  });
}

async function attemptGrpc(host: string, port: number, service: string, timeoutMs: number): Promise<ProbeOutcome> {
  return await new Promise((resolve) => {
    const session = connectHttp2(`http://${joinHostPort(host, port)}`);
    const finish = (outcome: ProbeOutcome): void => {
      limit[Symbol.dispose]();
      session.destroy();
      resolve(outcome);
    };
    const limit = afterRunning(timeoutMs, () =>
      finish({ success: false, message: `timeout: health rpc did not complete within ${timeoutMs / 1_000}s` }),
    );
    session.once("error", (error) => finish({ success: false, message: error.message }));
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: grpcHealthPath,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let bodyBytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bodyBytes += chunk.length;
      if (bodyBytes <= maxBodyBytes) chunks.push(chunk);
      else finish({ success: false, message: `the answer of the health service is longer than ${maxBodyBytes} bytes` });
    });
    stream.once("error", (error) => finish({ success: false, message: error.message }));
    stream.once("end", () => {
      const serving = healthStatus(Buffer.concat(chunks)) === servingStatus;
      finish({ success: serving, message: serving ? "" : 'service unhealthy (responded with "NOT_SERVING")' });
    });
    stream.end(healthRequest(service));
  });
}
