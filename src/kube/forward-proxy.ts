import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { requireFinalResponse } from "../base/joined-bytes/index.ts";
import { cidrOf, isAddressOf, isLoopbackAddress, nodeHttp, userError, type Environment } from "../base/index.ts";
import { serverAddress } from "./server-address.ts";

/**
 * The HTTP proxy that the variables HTTPS_PROXY and NO_PROXY name for a server, with the rules of Go's
 * golang.org/x/net/http/httpproxy: a server on this machine needs none. Throws a user error for a proxy that is no URL.
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

/** The URL of an HTTP proxy. `where` names the field or variable. Throws a user error for another URL. */
export function parseProxy(text: string, where: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url;
  // The text may contain a password.
  const shown = url === undefined ? "is no URL" : `has the scheme ${url.protocol}//`;
  throw userError("kubeconfig-invalid", `${where} ${shown}, expected the address of an HTTP proxy`, {
    hint: "HTTP proxies are supported: http://host:port or https://host:port",
  });
}

function firstSet(env: Environment, ...names: readonly string[]): readonly [name: string, value: string] {
  const name = names.find((candidate) => (env[candidate] ?? "") !== "") ?? names[0] ?? "";
  return [name, env[name] ?? ""];
}

/** Whether an entry of NO_PROXY covers a host: `*`, a network, an address, a domain, each with or without a port. */
function isException(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  const network = entry.includes("/") ? cidrOf(entry) : undefined;
  if (network !== undefined) return isAddressOf(host, [network]);
  const [, name = entry, onlyPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
  if (name === "" || (onlyPort !== undefined && onlyPort !== port)) return false;
  const domain = name.replace(/^\[|\]$/g, "").replace(/^\*\./, ".");
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

/**
 * A connection to a server through an HTTP proxy (CONNECT, RFC 9110). Rejects with the proxy's answer if it refuses, or
 * when the signal aborts.
 */
export async function tunnelThrough(
  proxy: URL,
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Duplex> {
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const user = [proxy.username, proxy.password].map(decodeURIComponent).join(":");
  const address = serverAddress(proxy);
  const options = {
    method: "CONNECT",
    path: authority,
    ...address,
    // Otherwise Node would expect a certificate for the name in the Host header, the server's.
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
      new Error(`the proxy ${proxy.host} answered ${statusCode} ${statusMessage} to CONNECT ${authority}`);
    requireFinalResponse(outgoing).on("error", (error) =>
      reject(new Error(`the proxy ${proxy.host}: ${error.message}`, { cause: error })),
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
