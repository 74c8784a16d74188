import { fromBinary, type Message } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../../base/index.ts";
import type { EnvoyTypes } from "../../../wire/envoy-types/index.ts";
import {
  TrafficDirection,
  type Cluster,
  type FilterChain,
  type HttpConnectionManager,
  type Listener,
  type RouteConfiguration,
} from "../../../wire/envoy/index.ts";
import { typeUrls } from "../../../wire/xds/index.ts";
import type { ExtendedProxy } from "../../model/extension-selection.ts";
import type { CompiledExtension } from "../extension-filters.ts";
import { extensionsFor, insertHttpExtensions, insertNetworkExtensions, type ChainTraffic } from "../extension-chain.ts";
import { encodeResource, type EncodedResource } from "../resource.ts";
import { plainRouteName } from "../waypoint/waypoint-route.ts";
import { mayMatchCluster, patchCluster } from "./cluster-patches.ts";
import type { CompiledPatch, PatchContext } from "./compiled-patch.ts";
import { chainsOf, patchListener, portOf } from "./listener-patches.ts";
import { addsIn, holdsIn, Patching } from "./patching.ts";
import { patchRouteConfiguration } from "./route-patches.ts";

export interface ExtensionProgramOptions {
  readonly proxyType: ExtendedProxy["type"];
  readonly types: EnvoyTypes;
  readonly extensions: readonly CompiledExtension[];
  readonly patches: readonly CompiledPatch[];
  /** Called for a patch that could not be applied. Its target stays unchanged. */
  readonly failed: (patch: CompiledPatch, fault: string) => void;
}

const messageTypes: Readonly<Record<string, string>> = {
  [typeUrls.listener]: "envoy.config.listener.v3.Listener",
  [typeUrls.route]: "envoy.config.route.v3.RouteConfiguration",
  [typeUrls.cluster]: "envoy.config.cluster.v3.Cluster",
};
/** Clusters that connect listeners with each other. No patch applies to them. */
const tunnels: ReadonlySet<string> = new Set([
  "connect_originate",
  "encap",
  "main_internal",
  "inner_connect_originate",
  "outer_connect_originate",
]);
/** Listeners of a sidecar for traffic through a tunnel. Not all of them have a direction. */
const tunnelEnds: ReadonlySet<string> = new Set(["connect_terminate", "main_internal"]);
/** Listeners whose filter chains serve no application. */
const closedListeners: ReadonlySet<string> = new Set(["virtualOutbound", "connect_originate", "connect_terminate"]);
const blackHoleChain = "virtualInbound-blackhole";

/**
 * The changes that EnvoyFilters and traffic extensions make to a proxy's resources. Proxies with the same extensions
 * share one program and its results. A result is cached as long as its source resource.
 */
export class ExtensionProgram {
  readonly #options: ExtensionProgramOptions;
  readonly #made = new WeakMap<EncodedResource, EncodedResource | "removed">();
  readonly #used = new WeakMap<EncodedResource, readonly string[]>();
  readonly #added = new Map<string, readonly EncodedResource[]>();
  readonly #touched: ReadonlySet<string>;

  constructor(options: ExtensionProgramOptions) {
    this.#options = options;
    this.#touched = new Set([
      ...options.patches.flatMap(({ applyTo }) => typesOf(applyTo)),
      ...(options.extensions.length === 0 ? [] : [typeUrls.listener, typeUrls.extensionConfig]),
    ]);
  }

  touches(typeUrl: string): boolean {
    return this.#touched.has(typeUrl);
  }

  /** The resource to send. Undefined if a patch removes it. */
  apply(typeUrl: string, resource: EncodedResource): EncodedResource | undefined {
    let made = this.#made.get(resource);
    if (made === undefined) {
      made = this.#make(typeUrl, resource) ?? "removed";
      this.#made.set(resource, made);
    }
    return made === "removed" ? undefined : made;
  }

  added(typeUrl: string): readonly EncodedResource[] {
    let found = this.#added.get(typeUrl);
    if (found === undefined) {
      found = this.#add(typeUrl);
      this.#added.set(typeUrl, found);
    }
    return found;
  }

  usedBy(listener: EncodedResource): readonly string[] {
    this.apply(typeUrls.listener, listener);
    return this.#used.get(listener) ?? [];
  }

  /** Whether an extension applies only to some services of a waypoint. */
  isOfServices(name: string): boolean {
    return this.#options.extensions.some(
      (extension) => extension.name === name && extension.selected.hosts !== undefined,
    );
  }

  #make(typeUrl: string, resource: EncodedResource): EncodedResource | undefined {
    const typeName = messageTypes[typeUrl];
    const contexts = this.#contextsOf(typeUrl, resource.name);
    if (typeName === undefined || !this.touches(typeUrl) || contexts === "none") return resource;
    if (
      typeUrl === typeUrls.cluster &&
      !this.#options.patches.some((patch) => patch.applyTo === "CLUSTER" && mayMatchCluster(resource.name, patch))
    )
      return resource;
    const desc = this.#options.types.mustHave(typeName);
    const message = fromBinary(desc, fromBinary(AnySchema, resource.any).value);
    const patching = new Patching(this.#options, contexts ?? directionOf(message as unknown as Listener));
    try {
      if (!this.#change(typeUrl, resource, message, patching)) return undefined;
      if (!patching.changed) return resource;
      this.#keepName(message, resource.name, patching);
      return encodeResource(desc, resource.name, message);
    } catch (error) {
      this.#report(patching, `${resource.name} is not changed: ${messageOf(error)}`);
      return resource;
    }
  }

  #change(typeUrl: string, resource: EncodedResource, message: Message, patching: Patching): boolean {
    switch (typeUrl) {
      case typeUrls.cluster:
        return patchCluster(message as unknown as Cluster, patching);
      case typeUrls.route:
        patchRouteConfiguration(message as unknown as RouteConfiguration, patching);
        return true;
      default: {
        const listener = message as unknown as Listener;
        this.#extend(listener, resource, patching);
        return patchListener(listener, patching, (manager, chain) =>
          this.#patchInline(listener.name, manager, chain, patching),
        );
      }
    }
  }

  /**
   * Patches the routes inside a connection manager. As in upstream, no patch changes the routes of tunnels, nor the
   * routes that the user has defined for a waypoint's service.
   */
  #patchInline(listener: string, manager: HttpConnectionManager, chain: FilterChain, patching: Patching): void {
    if (listener === "connect_terminate" || manager.routeSpecifier.case !== "routeConfig") return;
    const configuration = manager.routeSpecifier.value;
    const isOfService = this.#options.proxyType === "waypoint" && chain.name.startsWith("inbound-vip|");
    if (!isOfService || isPlain(configuration)) patchRouteConfiguration(configuration, patching);
  }

  #extend(listener: Listener, resource: EncodedResource, patching: Patching): void {
    const { extensions, types, proxyType } = this.#options;
    if (extensions.length === 0 || closedListeners.has(listener.name)) return;
    const used = new Set<string>();
    for (const chain of chainsOf(listener)) {
      if (chain.name === blackHoleChain) continue;
      const found = extensionsFor(extensions, this.#trafficOf(listener, chain, patching.context));
      if (found.size === 0) continue;
      for (const filter of chain.filters) {
        const manager = patching.managerOf(filter);
        if (manager === undefined || !insertHttpExtensions(manager, found, proxyType === "waypoint", types)) continue;
        patching.setManager(filter, manager);
        patching.changed = true;
      }
      if (insertNetworkExtensions(chain, found, types)) patching.changed = true;
      for (const { name, config } of [...found.values()].flat()) if (config !== undefined) used.add(name);
    }
    this.#used.set(resource, [...used]);
  }

  #trafficOf(listener: Listener, chain: FilterChain, context: PatchContext): ChainTraffic {
    if (this.#options.proxyType === "waypoint") {
      const [direction, , , host = ""] = chain.name.split("|");
      return { side: "SERVER", port: 0, ...(direction === "inbound-vip" ? { host } : {}) };
    }
    if (context === "SIDECAR_INBOUND")
      return { side: "SERVER", port: chain.filterChainMatch?.destinationPort ?? portOf(listener) ?? 0 };
    return { side: "CLIENT", port: portOf(listener) ?? 0 };
  }

  /** Restores the resource's name, because resources are sent under it and a patch cannot rename them. */
  #keepName(message: Message, name: string, patching: Patching): void {
    const named = message as unknown as { name: string };
    if (named.name === name) return;
    this.#report(patching, `must not rename ${name} to ${named.name}; it keeps its name`);
    named.name = name;
  }

  #report(patching: Patching, fault: string): void {
    const patch = [
      ...patching.for("LISTENER"),
      ...patching.for("CLUSTER"),
      ...patching.for("ROUTE_CONFIGURATION"),
      ...this.#options.patches,
    ][0];
    if (patch !== undefined) this.#options.failed(patch, fault);
  }

  /** The context, as far as the resource's name determines it. Undefined if the resource's content decides. */
  #contextsOf(typeUrl: string, name: string): PatchContext | "none" | undefined {
    const { proxyType } = this.#options;
    if (tunnels.has(name) && typeUrl === typeUrls.cluster) return "none";
    // This listener belongs to a service only in waypoints.
    if (typeUrl === typeUrls.listener && name === "connect_originate" && proxyType !== "waypoint") return "none";
    if (proxyType === "router") return "GATEWAY";
    if (typeUrl === typeUrls.route) return "SIDECAR_OUTBOUND";
    if (typeUrl === typeUrls.cluster) return clusterContext(proxyType, name);
    return proxyType === "waypoint" || tunnelEnds.has(name) ? "SIDECAR_INBOUND" : undefined;
  }

  #add(typeUrl: string): readonly EncodedResource[] {
    const { patches, extensions, proxyType, types } = this.#options;
    if (typeUrl === typeUrls.extensionConfig) {
      const adding = patches.filter(({ applyTo, operation }) => applyTo === "EXTENSION_CONFIG" && operation === "ADD");
      return [
        ...adding.flatMap((patch) => this.#encoded(patch, types)),
        ...extensions.flatMap(({ config }) => config ?? []),
      ];
    }
    const place = typeUrl === typeUrls.listener ? "LISTENER" : typeUrl === typeUrls.cluster ? "CLUSTER" : undefined;
    const contexts = contextsOf(proxyType, place);
    const adding = patches.filter(
      (patch) => patch.applyTo === place && contexts.some((context) => addsIn(patch, context)),
    );
    return adding.flatMap((patch) => this.#encoded(patch, types));
  }

  #encoded(patch: CompiledPatch, types: EnvoyTypes): readonly EncodedResource[] {
    const { value } = patch;
    const name = value === undefined ? "" : (value as unknown as { name: string }).name;
    if (value === undefined || name === "") {
      this.#options.failed(patch, "has no name, so it cannot be added");
      return [];
    }
    return [encodeResource(types.mustHave(value.$typeName), name, value)];
  }
}

function typesOf(place: CompiledPatch["applyTo"]): readonly string[] {
  switch (place) {
    case "CLUSTER":
      return [typeUrls.cluster];
    case "EXTENSION_CONFIG":
      return [typeUrls.extensionConfig];
    case "BOOTSTRAP":
      return [];
    case "ROUTE_CONFIGURATION":
    case "VIRTUAL_HOST":
    case "HTTP_ROUTE":
      // Some connection managers contain their routes.
      return [typeUrls.route, typeUrls.listener];
    default:
      return [typeUrls.listener];
  }
}

/** Whether these are the routes of a service for which the user has defined none. */
function isPlain({ virtualHosts: [host, ...others] }: RouteConfiguration): boolean {
  return others.length === 0 && host?.routes.length === 1 && host.routes[0]?.name === plainRouteName;
}

function contextsOf(
  proxyType: ExtendedProxy["type"],
  place: "LISTENER" | "CLUSTER" | undefined,
): readonly PatchContext[] {
  if (proxyType === "router") return ["GATEWAY"];
  // As upstream does, add clusters to a waypoint only in the inbound context.
  if (proxyType === "waypoint" && place === "CLUSTER") return ["SIDECAR_INBOUND"];
  return ["SIDECAR_OUTBOUND", "SIDECAR_INBOUND"];
}

function clusterContext(proxyType: ExtendedProxy["type"], name: string): PatchContext | "none" {
  if (proxyType === "waypoint") return name.startsWith("outbound|") ? "SIDECAR_OUTBOUND" : "none";
  return name.startsWith("inbound|") || name.startsWith("InboundPassthroughCluster")
    ? "SIDECAR_INBOUND"
    : "SIDECAR_OUTBOUND";
}

function directionOf({ trafficDirection }: Listener): PatchContext {
  return trafficDirection === TrafficDirection.INBOUND ? "SIDECAR_INBOUND" : "SIDECAR_OUTBOUND";
}

export function isForType({ applyTo, ...patch }: CompiledPatch, proxyType: ExtendedProxy["type"]): boolean {
  if (applyTo === "BOOTSTRAP") return false;
  if (applyTo === "EXTENSION_CONFIG") return true;
  return contextsOf(proxyType, undefined).some((context) => holdsIn({ applyTo, ...patch }, context));
}
