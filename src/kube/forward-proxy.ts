import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { requireFinalResponse } from "../base/joined-bytes/index.ts";
import {
  addressBytes,
  cidrOf,
  isAddressOf,
  isLoopbackAddress,
  joinHostPort,
  messageOf,
  nodeHttp,
  onAbort,
  userError,
  type Environment,
} from "../base/index.ts";
import { serverAddress } from "./server-address.ts";

/**
 * Returns the proxy that HTTPS_PROXY and NO_PROXY name for a server, or undefined if it needs none. The rules are those
 * of Go's golang.org/x/net/http/httpproxy. For example, a server on loopback needs no proxy. Throws a user error if the
 * proxy is not a valid URL.
 */
export function proxyOfEnvironment(server: URL, env: Environment): URL | undefined {
  const [variable, value] = firstSet(env, "HTTPS_PROXY", "https_proxy");
  if (value === "" || server.protocol !== "https:") return undefined;
  const { host, port } = serverAddress(server);
  if (host === "localhost" || isLoopbackAddress(host)) return undefined;
  const [, exceptions] = firstSet(env, "NO_PROXY", "no_proxy");
  if (exceptions.split(",").some((entry) => isException(entry.trim().toLowerCase(), host, String(port))))
    return undefined;
  return parseProxy(value.includes("://") ? value : `http://${value}`, `the variable ${variable}`);
}

const schemes: ReadonlySet<string> = new Set(["http:", "https:", "socks5:", "socks5h:"]);

/**
 * Parses the URL of an HTTP or SOCKS5 proxy. Throws a user error for other text. `where` names its source in the error.
 */
export function parseProxy(text: string, where: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && schemes.has(url.protocol) && url.hostname !== "") {
    // Both are decoded again for each connection. Report invalid percent-encoding now.
    if (isDecodable(url.username) && isDecodable(url.password)) return url;
    throw userError("kubeconfig-invalid", `${where} has a user or a password with a wrong percent sign`, {
      hint: "write a percent sign as %25",
    });
  }
  // Do not quote the text, because it may contain a password.
  const shown =
    url === undefined ? "is no URL" : url.hostname === "" ? "has no host" : `has the scheme ${url.protocol}//`;
  throw userError("kubeconfig-invalid", `${where} ${shown}, expected the address of a proxy`, {
    hint: "expected http://host:port, https://host:port, socks5://host:port or socks5h://host:port",
  });
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function firstSet(env: Environment, ...names: readonly string[]): readonly [name: string, value: string] {
  const name = names.find((candidate) => (env[candidate] ?? "") !== "") ?? names[0] ?? "";
  return [name, env[name] ?? ""];
}

/**
 * Whether an entry of NO_PROXY matches a host. An entry is `*`, a CIDR, an IP address or a domain. Addresses and
 * domains may have a port.
 */
function isException(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const network = entry.includes("/") ? cidrOf(entry) : undefined;
  if (network !== undefined) return isAddressOf(host, [network]);
  const [, name = entry, onlyPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
  if (name === "" || (onlyPort !== undefined && onlyPort !== port)) return false;
  const domain = name.replace(/^\[|\]$/g, "").replace(/^\*\./, ".");
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

interface Target {
  readonly host: string;
  readonly port: number;
}

/** The error of a proxy that does not answer or that refuses the connection. */
export class ForwardProxyFault extends Error {
  constructor(proxy: URL, what: string, options?: ErrorOptions) {
    super(`the proxy ${proxy.host}${what}`, options);
  }
}

/**
 * Opens a connection to a server through an HTTP proxy (CONNECT, RFC 9110) or a SOCKS5 proxy (RFC 1928). Rejects with a
 * {@link ForwardProxyFault} if the proxy refuses, or when the signal aborts.
 */
export async function tunnelThrough(proxy: URL, target: Target, signal: AbortSignal): Promise<Duplex> {
  return await (proxy.protocol.startsWith("socks") ? tunnelBySocks : tunnelByHttp)(proxy, target, signal);
}

async function tunnelByHttp(proxy: URL, { host, port }: Target, signal: AbortSignal): Promise<Duplex> {
  const authority = joinHostPort(host, port);
  const user = [proxy.username, proxy.password].map(decodeURIComponent).join(":");
  const address = serverAddress(proxy);
  const options = {
    method: "CONNECT",
    path: authority,
    ...address,
    // Without this name, Node.js would verify the proxy's certificate for the name in the Host header, which is the
    // server's.
    servername: isIP(address.host) === 0 ? address.host : "",
    agent: false as const,
    signal,
    headers: {
      host: authority,
      ...(user === ":" ? {} : { "proxy-authorization": `Basic ${Buffer.from(user).toString("base64")}` }),
    },
  };
  const outgoing = proxy.protocol === "https:" ? httpsRequest(options) : nodeHttp().request(options);
  return await new Promise<Duplex>((resolve, reject) => {
    const refused = ({ statusCode = 0, statusMessage = "" }: IncomingMessage): Error =>
      new ForwardProxyFault(proxy, ` answered ${statusCode} ${statusMessage} to CONNECT ${authority}`);
    requireFinalResponse(outgoing).on("error", (error) =>
      reject(new ForwardProxyFault(proxy, `: ${error.message}`, { cause: error })),
    );
    outgoing.once("response", (response) => {
      response.destroy();
      reject(refused(response));
    });
    outgoing.once("connect", (response, socket: Duplex, head: Buffer) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        return reject(refused(response));
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.end();
  });
}

const socksVersion = 5;
const withoutPassword = 0;
const withPassword = 2;
const passwordVersion = 1;
/** The types of SOCKS5 addresses. In an answer, the length of a name is in its first byte. */
const [ipv4Type, nameType, ipv6Type] = [1, 3, 4];
const addressLengths: Readonly<Record<number, number>> = { [ipv4Type]: 4, [ipv6Type]: 16 };
const maxTextBytes = 255;

const socksRefusals: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "not allowed by its rules",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
  6: "time to live expired",
};

/** Connects through a SOCKS5 proxy. As in kubectl, the proxy resolves the server's name, even with `socks5:`. */
async function tunnelBySocks(proxy: URL, { host, port }: Target, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted();
  const socket = connect(serverAddress(proxy));
  // Without a listener, an error would end the process. The readers of the socket notice that it has ended.
  socket.on("error", () => undefined);
  using _abort = onAbort(signal, () => void socket.destroy(signal.reason as Error));
  try {
    const [user, password] = [decodeURIComponent(proxy.username), decodeURIComponent(proxy.password)];
    const methods = user === "" ? [withoutPassword] : [withoutPassword, withPassword];
    socket.write(Buffer.from([socksVersion, methods.length, ...methods]));
    const [version, method] = await bytesOf(socket, 2);
    if (version !== socksVersion) throw new Error("it does not speak SOCKS5");
    if (method === withPassword && user !== "") {
      socket.write(Buffer.concat([Buffer.from([passwordVersion]), sized(user), sized(password)]));
      if ((await bytesOf(socket, 2))[1] !== 0) throw new Error("it refused the user and the password");
    } else if (method !== withoutPassword)
      throw new Error(user === "" ? "it wants a user and a password" : "it accepts neither a password nor none");
    const ports = Buffer.from([port >> 8, port & 0xff]);
    socket.write(Buffer.concat([Buffer.from([socksVersion, 1, 0]), socksAddress(host), ports]));
    const [, status = 1, , type = 0] = await bytesOf(socket, 4);
    if (status !== 0)
      throw new Error(`it answered ${socksRefusals[status] ?? `status ${status}`} to a connection to ${host}:${port}`);
    const length = type === nameType ? (await bytesOf(socket, 1))[0] : addressLengths[type];
    if (length === undefined) throw new Error(`its answer has the unknown address type ${type}`);
    await bytesOf(socket, length + 2);
    return socket;
  } catch (error) {
    socket.destroy();
    throw new ForwardProxyFault(proxy, `: ${messageOf(error)}`, { cause: error });
  }
}

/** Encodes an address or a name, with its type. */
function socksAddress(host: string): Buffer {
  const address = addressBytes(host);
  if (address === undefined) return Buffer.concat([Buffer.from([nameType]), sized(host)]);
  return Buffer.concat([Buffer.from([address.length === 4 ? ipv4Type : ipv6Type]), address]);
}

/** Encodes a text, with its length in the first byte. */
function sized(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > maxTextBytes) throw new Error(`a name or password has more than ${maxTextBytes} bytes`);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** Reads the next bytes, and leaves the others in the socket. Rejects if the socket ends earlier. */
async function bytesOf(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(count) as Buffer | null;
    if (bytes?.length === count) return bytes;
    if (bytes !== null || socket.readableEnded || socket.destroyed) throw socket.errored ?? new Error("it hung up");
    await new Promise<void>((resolve) => {
      const events = ["readable", "end", "error", "close"] as const;
      const done = (): void => {
        for (const event of events) socket.off(event, done);
        resolve();
      };
      for (const event of events) socket.on(event, done);
    });
  }
}
