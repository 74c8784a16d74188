import type { Route, RouteConfiguration, VirtualHost } from "../../../wire/envoy/index.ts";
import { isMerge, type CompiledPatch, type PatchContext } from "./compiled-patch.ts";
import { patchList, type Patching } from "./patching.ts";

export function patchRouteConfiguration(configuration: RouteConfiguration, patching: Patching): void {
  const here = (patch: CompiledPatch): boolean => configurationMatches(configuration.name, patch, patching.context);
  for (const patch of patching.for("ROUTE_CONFIGURATION"))
    if (isMerge(patch.operation) && here(patch)) patching.attempt(patch, () => patching.merge(configuration, patch));
  const hosts = patching.for("VIRTUAL_HOST").filter(here);
  const routes = patching.for("HTTP_ROUTE").filter(here);
  const kept = configuration.virtualHosts.flatMap((host) => patchVirtualHost(host, hosts, routes, patching));
  configuration.virtualHosts = kept;
  for (const patch of hosts)
    if (patch.operation === "ADD") patching.attempt(patch, () => kept.push(patching.valueOf<VirtualHost>(patch)) > 0);
}

function patchVirtualHost(
  given: VirtualHost,
  patches: readonly CompiledPatch[],
  routes: readonly CompiledPatch[],
  patching: Patching,
): VirtualHost[] {
  let host = given;
  for (const patch of patches) {
    if (!hostMatches(host, patch)) continue;
    if (patch.operation === "REMOVE") {
      patching.changed = true;
      return [];
    }
    patching.attempt(patch, () => {
      if (isMerge(patch.operation)) return patching.merge(host, patch);
      if (patch.operation !== "REPLACE") return false;
      host = patching.valueOf(patch);
      return true;
    });
  }
  patchRoutes(
    host,
    routes.filter((patch) => hostMatches(host, patch)),
    patching,
  );
  return [host];
}

function patchRoutes(host: VirtualHost, patches: readonly CompiledPatch[], patching: Patching): void {
  const removed = new Set<Route>();
  for (const route of host.routes) {
    for (const patch of patches) {
      if (removed.has(route) || !routeMatches(route, patch)) continue;
      if (patch.operation === "REMOVE") {
        patching.changed = true;
        removed.add(route);
      } else if (isMerge(patch.operation)) patching.attempt(patch, () => patching.merge(route, patch));
    }
  }
  for (const patch of patches) insertRoute(host.routes, patch, patching);
  if (removed.size > 0) host.routes = host.routes.filter((route) => !removed.has(route));
}

/** A patch that names another route has no effect if that route is missing. */
function insertRoute(routes: Route[], patch: CompiledPatch, patching: Patching): void {
  if (patch.operation === "REMOVE" || patch.operation === "REPLACE") return;
  const matches =
    patch.match.routeConfiguration?.virtualHost?.route === undefined
      ? undefined
      : (route: Route): boolean => routeMatches(route, patch);
  if (patch.operation === "INSERT_FIRST" && matches !== undefined && !routes.some(matches)) return;
  patching.attempt(patch, () => patchList(routes, patch, matches, () => patching.valueOf<Route>(patch)));
}

function configurationMatches(name: string, { match }: CompiledPatch, context: PatchContext): boolean {
  const wanted = match.routeConfiguration;
  if (wanted === undefined) return true;
  if (wanted.name !== undefined && wanted.name !== name) return false;
  if (context !== "GATEWAY") return wanted.portNumber === undefined || wanted.portNumber === portOfRoutes(name);
  const place = gatewayPlaceOf(name);
  return (
    (wanted.portName === undefined || wanted.portName === place.portName) &&
    (wanted.gateway === undefined || wanted.gateway === place.gateway) &&
    (wanted.portNumber === undefined || wanted.portNumber === place.port)
  );
}

/** The port in a name, which is a port such as `80`, or a cluster's name such as `inbound|8080||`. */
function portOfRoutes(name: string): number {
  const text = name.startsWith("inbound") ? (name.split("|")[1] ?? "") : name;
  return /^\d+$/.test(text) ? Number(text) : 0;
}

/** Parses `http.<port>`, or `https.<port>.<port name>.<gateway>.<namespace>`. */
function gatewayPlaceOf(name: string): { readonly port: number; readonly portName: string; readonly gateway: string } {
  const [scheme = "", port = "", ...rest] = name.split(".");
  if (scheme !== "https") return { port: Number(port), portName: "", gateway: "" };
  const namespace = rest.pop() ?? "";
  const gateway = rest.pop() ?? "";
  return { port: Number(port), portName: rest.join("."), gateway: `${namespace}/${gateway}` };
}

function hostMatches({ name, domains }: VirtualHost, { match }: CompiledPatch): boolean {
  const wanted = match.routeConfiguration?.virtualHost;
  return (
    wanted === undefined ||
    ((wanted.name === undefined || wanted.name === name) &&
      (wanted.domainName === undefined || domains.includes(wanted.domainName)))
  );
}

const actions: Readonly<Record<string, string>> = {
  route: "ROUTE",
  redirect: "REDIRECT",
  directResponse: "DIRECT_RESPONSE",
};

function routeMatches({ name, action }: Route, { match }: CompiledPatch): boolean {
  const wanted = match.routeConfiguration?.virtualHost?.route;
  if (wanted === undefined) return true;
  if (wanted.name !== undefined && wanted.name !== name) return false;
  const kind = actions[action.case ?? ""];
  return wanted.action === "ANY" || kind === undefined || kind === wanted.action;
}
