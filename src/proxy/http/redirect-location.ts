import { withoutPort } from "../routing/route-table.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { RedirectAction } from "../routing/route.ts";

const defaultPorts: Readonly<Record<string, string>> = { http: ":80", https: ":443" };

/** The location of a redirect. The host's port follows Envoy's rules (`processRequestHost`). */
export function redirectLocation(action: RedirectAction, request: RequestView): string {
  const scheme = action.httpsRedirect ? "https" : (action.scheme ?? request.scheme);
  const host = action.host ?? requestHost(request, scheme, action.port !== undefined);
  const port = action.port === undefined ? "" : `:${action.port}`;
  const path = action.pathRedirect ?? action.rewritePath?.(request.path) ?? request.path;
  const query = request.query !== "" && !action.stripQuery && !path.includes("?") ? `?${request.query}` : "";
  return `${scheme}://${host}${port === defaultPorts[scheme] ? "" : port}${path}${query}`;
}

/**
 * The host of the redirect's location. The redirect's own port replaces the request's. The request's port is also
 * dropped if it is the default port of a scheme that the redirect replaces.
 */
function requestHost({ authority, scheme: own }: RequestView, scheme: string, namesPort: boolean): string {
  const port = /:\d+$/.exec(authority)?.[0];
  const leaves = scheme !== own && port === defaultPorts[own];
  return namesPort || leaves ? withoutPort(authority) : authority;
}
