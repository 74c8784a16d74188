import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "::ffff:127.0.0.1"]);

/**
 * Whether a request over this machine's loopback uses a name of another machine. Such a request comes from a web page
 * whose name was made to resolve to this machine (DNS rebinding). A port-forward also ends at the loopback of its pod,
 * so the server of a pod is affected too. Requests through a sidecar have any Host header, but they come from
 * 127.0.0.6, which does not count as loopback here.
 */
export function usesForeignName({ socket, headers }: Pick<IncomingMessage, "socket" | "headers">): boolean {
  if (!loopback.has(socket.remoteAddress ?? "")) return false;
  const host = nameOf(headers.host ?? "");
  return host !== "" && host !== "localhost" && !host.endsWith(".localhost") && isIP(host) === 0;
}

/** The name in a Host header, in lower case and without its port. */
export function nameOf(header: string): string {
  return header.startsWith("[") ? header.slice(1, header.indexOf("]")) : (header.split(":")[0] ?? "").toLowerCase();
}

/**
 * Why a request over this machine's loopback is refused: a browser sent it for a web page of another origin, or it uses
 * a foreign name. While a user forwards a port, any web page in the user's browser can reach the loopback. Undefined
 * for all other requests, and for a person who follows a link to the server.
 */
export function foreignPage(
  request: Pick<IncomingMessage, "socket" | "headers"> & { readonly method?: string | undefined },
): string | undefined {
  const { socket, headers, method } = request;
  if (!loopback.has(socket.remoteAddress ?? "")) return undefined;
  if (usesForeignName(request))
    return `"${nameOf(headers.host ?? "")}" is not a name of this machine: use localhost or 127.0.0.1`;
  const { origin } = headers;
  const site = headers["sec-fetch-site"] ?? "none";
  const isForeignSite = site !== "none" && site !== "same-origin";
  const isLink =
    method === "GET" && headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  const isForeignOrigin = origin !== undefined && URL.parse(origin)?.host !== (headers.host ?? "").toLowerCase();
  return isForeignOrigin || (isForeignSite && !isLink) ? "the request comes from a page of another origin" : undefined;
}
