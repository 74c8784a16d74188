import type { IncomingMessage, RequestOptions } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import { afterRunning, joinHostPort, messageOf, userError } from "../../base/index.ts";
import { requireFinalResponse } from "../../base/joined-bytes/index.ts";
import type { EndpointAnswer, EndpointRoute } from "../../dataplane/index.ts";
import { grpcHealthPath, healthRequest, healthStatus, servingStatus } from "../../wire/grpc-health/index.ts";

// Load the clients on first use: they take megabytes of memory, and most applications have no probes that the proxy
// answers.
const builtin = process.getBuiltinModule.bind(process);

export interface AppProbe {
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number;
    readonly host?: string;
    readonly scheme?: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly tcpSocket?: { readonly port: number; readonly host?: string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly timeoutSeconds?: number;
}

/**
 * The source address of probes. The pod's redirect rules treat connections from it as the proxy's own, so they reach
 * the application.
 */
const proxySource = "127.0.0.6";
const defaultTimeoutSeconds = 1;
/** The number of body bytes that the kubelet reads from a probe's response. */
const maxBodyBytes = 10 * 1024;

/** Reads ISTIO_KUBE_APP_PROBERS: probes by the path that the kubelet requests. An invalid value is a user error. */
export function parseAppProbers(text: string): Readonly<Record<string, AppProbe>> {
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, AppProbe>;
  } catch (error) {
    throw userError("env-invalid", `ISTIO_KUBE_APP_PROBERS is not valid JSON: ${messageOf(error)}`);
  }
  throw userError("env-invalid", "ISTIO_KUBE_APP_PROBERS must be an object of probes by path");
}

/** Answers the kubelet's probes by probing the application. `address` is the address of the pod. */
export function appProbeRoutes(
  probers: Readonly<Record<string, AppProbe>>,
  address: string,
): Record<string, EndpointRoute> {
  return Object.fromEntries(
    Object.entries(probers).map(([path, probe]) => [
      path,
      (request: IncomingMessage) => answerProbe(probe, address, request),
    ]),
  );
}

async function answerProbe(probe: AppProbe, address: string, request: IncomingMessage): Promise<EndpointAnswer> {
  try {
    return { status: await probeApplication(probe, address, request.headers["user-agent"]), body: "" };
  } catch (error) {
    return { status: 500, body: `the application's probe failed: ${messageOf(error)}\n` };
  }
}

/**
 * Returns the status of the application's answer to an HTTP probe. Returns 200 for a successful probe of another kind,
 * and 404 for an unknown kind. Rejects if there is no answer.
 */
export async function probeApplication(
  probe: AppProbe,
  address: string,
  userAgent: string | undefined,
): Promise<number> {
  const timeoutMs = (probe.timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
  if (probe.httpGet !== undefined) return await probeHttp(probe.httpGet, address, timeoutMs, userAgent);
  if (probe.tcpSocket !== undefined) await probeTcp(probe.tcpSocket.host ?? address, probe.tcpSocket.port, timeoutMs);
  else if (probe.grpc !== undefined) await probeGrpc(address, probe.grpc.port, probe.grpc.service ?? "", timeoutMs);
  else return 404;
  return 200;
}

function probeHttp(
  target: NonNullable<AppProbe["httpGet"]>,
  address: string,
  timeoutMs: number,
  userAgent: string | undefined,
): Promise<number> {
  const headers: Record<string, string> = { "user-agent": userAgent ?? "kube-probe" };
  for (const { name, value } of target.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const path = target.path ?? "/";
  const host = target.host === undefined || target.host === "localhost" ? address : target.host;
  const options: RequestOptions = {
    host,
    port: target.port,
    path: path.startsWith("/") ? path : `/${path}`,
    headers,
    ...sourceFor(host),
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const secure = target.scheme?.toUpperCase() === "HTTPS";
    const request = secure
      ? builtin("node:https").request({ ...options, rejectUnauthorized: false })
      : builtin("node:http").request(options);
    const limit = afterRunning(timeoutMs, () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    requireFinalResponse(request);
    request.once("response", (response) => {
      let bodyBytes = 0;
      response.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.length;
        // Stop reading: the body may be endless, and the status alone decides.
        if (bodyBytes > maxBodyBytes) response.destroy();
      });
      response.once("close", () => limit[Symbol.dispose]());
      resolve(response.statusCode ?? 500);
    });
    request.once("error", (error) => {
      limit[Symbol.dispose]();
      reject(error);
    });
    request.end();
  });
}

function sourceFor(host: string): { readonly localAddress?: string } {
  return host.includes(":") ? {} : { localAddress: proxySource };
}

function openSocket(host: string, port: number): Socket {
  return connectTcp({ host, port, ...sourceFor(host) });
}

function probeTcp(host: string, port: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(host, port);
    const limit = afterRunning(timeoutMs, () => socket.destroy(new Error(`no connection in ${timeoutMs} ms`)));
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
    socket.once("close", () => limit[Symbol.dispose]());
  });
}

async function probeGrpc(host: string, port: number, service: string, timeoutMs: number): Promise<void> {
  const { connect: connectHttp2 } = builtin("node:http2");
  const session = connectHttp2(`http://${joinHostPort(host, port)}`, {
    createConnection: () => openSocket(host, port),
  });
  let limit: Disposable | undefined;
  try {
    const body = await new Promise<Buffer>((resolve, reject) => {
      session.once("error", reject);
      const stream = session.request({
        ":method": "POST",
        ":path": grpcHealthPath,
        "content-type": "application/grpc",
        te: "trailers",
      });
      // Use our own timer: the stream's own timeout would start again with each byte.
      limit = afterRunning(timeoutMs, () => reject(new Error(`no answer in ${timeoutMs} ms`)));
      stream.once("error", reject);
      const parts: Buffer[] = [];
      let bodyBytes = 0;
      stream.on("data", (part: Buffer) => {
        bodyBytes += part.length;
        if (bodyBytes <= maxBodyBytes) parts.push(part);
        else reject(new Error(`the answer is longer than ${maxBodyBytes} bytes`));
      });
      stream.once("trailers", (trailers) => {
        if (trailers["grpc-status"] !== "0")
          reject(
            new Error(`gRPC status ${String(trailers["grpc-status"])}: ${String(trailers["grpc-message"] ?? "")}`),
          );
      });
      stream.once("end", () => resolve(Buffer.concat(parts)));
      stream.end(healthRequest(service));
    });
    const status = healthStatus(body);
    if (status !== servingStatus) throw new Error(`the service's health is ${status ?? "unknown"}`);
  } finally {
    limit?.[Symbol.dispose]();
    session.destroy();
  }
}
