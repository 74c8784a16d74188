import type { Collection } from "../../kube/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { ExtensionPrograms } from "./extension-programs.ts";
import { remoteKey, type MeshInputs } from "../model/index.ts";
import {
  ExtendedView,
  ExtensionConfigView,
  SwitchingView,
  type ProxyIdentity,
  type ResourceView,
} from "../serve/index.ts";
import type { ExtensionProgram } from "../translate/index.ts";

interface Tracked {
  readonly proxy: ProxyIdentity;
  readonly followers: Set<() => void>;
  program: ExtensionProgram | undefined;
  /** Whether an extension patches the proxy's routes, or has done so since it connected. */
  hadRoutesPatched: boolean;
}

const extendedTypes: ReadonlySet<string> = new Set([
  typeUrls.listener,
  typeUrls.cluster,
  typeUrls.route,
  typeUrls.extensionConfig,
]);
const extendedProxies: ReadonlySet<string> = new Set(["sidecar", "router", "waypoint"]);

/**
 * Applies EnvoyFilters and traffic extensions to the views of proxies. A proxy without extensions keeps its views
 * unchanged.
 */
export class ExtensionViews {
  readonly #programs: ExtensionPrograms;
  /** Keyed by the identity of a stream, because the metadata that a stream sends concerns only itself. */
  readonly #tracked = new Map<ProxyIdentity, Tracked>();
  /**
   * The same by the proxy's pod: by its key in the control plane's own cluster, and by its key in the cluster that the
   * proxy names.
   */
  readonly #byPod = new Map<string, Set<Tracked>>();

  /** `served` has the services behind each waypoint. */
  constructor(programs: ExtensionPrograms, inputs: MeshInputs, served: readonly Collection<unknown>[]) {
    const { extensions } = inputs;
    this.#programs = programs;
    this.#reconsiderBy(extensions.envoyFilters);
    this.#reconsiderBy(extensions.wasmPlugins);
    this.#reconsiderBy(extensions.trafficExtensions);
    this.#reconsiderBy(inputs.mesh);
    this.#reconsiderBy(inputs.remote.clusters);
    this.#reconsiderBy(extensions.pullSecrets);
    // Only a waypoint follows extensions that name services.
    const hasTargets = (): boolean => extensions.trafficExtensions.size + extensions.wasmPlugins.size > 0;
    for (const collection of [inputs.serviceEntries, ...served])
      this.#reconsiderBy(collection, hasTargets, ({ proxy }) => proxy.type === "waypoint");
    // A pod's labels select extensions if its proxy does not send them.
    for (const collection of [inputs.pods, inputs.remote.pods]) {
      collection.subscribe((changes) => {
        if (extensions.envoyFilters.size + extensions.trafficExtensions.size + extensions.wasmPlugins.size === 0)
          return;
        this.#reconsiderEach(new Set(changes.flatMap(({ key }) => [...(this.#byPod.get(key) ?? [])])));
      });
    }
  }

  /** `listeners` are the proxy's listeners before any change. */
  viewOf(proxy: ProxyIdentity, typeUrl: string, inner: ResourceView, listeners: () => ResourceView): ResourceView {
    if (!extendedTypes.has(typeUrl) || !extendedProxies.has(proxy.type)) return inner;
    let last: { readonly program: ExtensionProgram; readonly view: ResourceView } | undefined;
    return new SwitchingView({
      current: () => {
        const program = this.#programOf(proxy);
        if (program?.touches(typeUrl) !== true) return inner;
        if (last?.program !== program)
          last = {
            program,
            view:
              typeUrl === typeUrls.extensionConfig
                ? new ExtensionConfigView(program, listeners())
                : new ExtendedView(inner, typeUrl, program),
          };
        return last.view;
      },
      follow: (changed) => this.#follow(proxy, changed),
      known: () => inner.known?.() ?? true,
    });
  }

  /**
   * One view until an extension patches the proxy's routes, and another view from then on until the proxy connects
   * again. A proxy with whole tables would briefly have no virtual hosts if it were sent the same tables without them.
   */
  unlessRoutesPatched(proxy: ProxyIdentity, untouched: ResourceView, patched: ResourceView): ResourceView {
    return new SwitchingView({
      current: () =>
        touchesRoutes(this.#programOf(proxy)) || this.#tracked.get(proxy)?.hadRoutesPatched === true
          ? patched
          : untouched,
      follow: (changed) => this.#follow(proxy, changed),
      known: () => untouched.known?.() ?? true,
    });
  }

  #programOf(proxy: ProxyIdentity): ExtensionProgram | undefined {
    const tracked = this.#tracked.get(proxy);
    return tracked === undefined ? this.#programs.of(proxy) : tracked.program;
  }

  #follow(proxy: ProxyIdentity, changed: () => void): Disposable {
    let tracked = this.#tracked.get(proxy);
    if (tracked === undefined) {
      const program = this.#programs.of(proxy);
      tracked = { proxy, followers: new Set(), program, hadRoutesPatched: touchesRoutes(program) };
      this.#tracked.set(proxy, tracked);
      for (const key of podKeysOf(proxy)) this.#byPod.set(key, (this.#byPod.get(key) ?? new Set()).add(tracked));
    }
    const found = tracked;
    const follower = (): void => changed();
    found.followers.add(follower);
    return {
      [Symbol.dispose]: () => {
        found.followers.delete(follower);
        if (found.followers.size > 0 || this.#tracked.get(proxy) !== found) return;
        this.#tracked.delete(proxy);
        for (const key of podKeysOf(proxy)) {
          const same = this.#byPod.get(key);
          same?.delete(found);
          if (same?.size === 0) this.#byPod.delete(key);
        }
      },
    };
  }

  #reconsiderBy(
    collection: Collection<unknown>,
    matters: () => boolean = () => true,
    isConcerned: (tracked: Tracked) => boolean = () => true,
  ): void {
    collection.subscribe((changes) => {
      if (changes.length === 0 || !matters()) return;
      this.#reconsiderEach([...this.#tracked.values()].filter(isConcerned));
    });
  }

  /** If a proxy's extensions cannot be computed, it keeps those that it has, and other proxies are not affected. */
  #reconsiderEach(concerned: Iterable<Tracked>): void {
    const failures: unknown[] = [];
    for (const tracked of concerned) {
      try {
        this.#reconsider(tracked);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #reconsider(tracked: Tracked): void {
    const before = tracked.program;
    tracked.program = this.#programs.of(tracked.proxy);
    tracked.hadRoutesPatched ||= touchesRoutes(tracked.program);
    if (tracked.program !== before) for (const follower of tracked.followers) follower();
  }
}

function touchesRoutes(program: ExtensionProgram | undefined): boolean {
  return program?.touches(typeUrls.route) === true;
}

/** The pod's key in the control plane's own cluster, and in the cluster that the proxy names. */
function podKeysOf({ namespace, name, clusterId }: ProxyIdentity): readonly string[] {
  const key = `${namespace}/${name}`;
  return [key, remoteKey(clusterId, key)];
}
