import { withoutPort } from "../routing/route-table.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { RedirectAction } from "../routing/route.ts";

/** Where a redirect sends a request. */
export function redirectLocation(action: RedirectAction, request: RequestView): string {
  const scheme = action.httpsRedirect ? "https" : (action.scheme ?? request.scheme);
  const host = action.host ?? withoutPort(request.authority);
  const givenPort = /:(\d+)$/.exec(request.authority)?.[1];
  const port = action.port === undefined ? (action.host === undefined ? givenPort : undefined) : String(action.port);
  const standard = (scheme === "http" && port === "80") || (scheme === "https" && port === "443");
  const path = action.pathRedirect ?? action.rewritePath?.(request.path) ?? request.path;
  const query = request.query !== "" && !action.stripQuery && !path.includes("?") ? `?${request.query}` : "";
  return `${scheme}://${host}${port === undefined || standard ? "" : `:${port}`}${path}${query}`;
}
