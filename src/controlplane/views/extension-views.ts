import type { Collection } from "../../kube/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { ExtensionPrograms } from "./extension-programs.ts";
import { FollowedProxies, tellFollowers, type FollowedProxy } from "./followed-proxies.ts";
import { remoteKey, type MeshInputs } from "../model/index.ts";
import {
  ExtendedView,
  ExtensionConfigView,
  SwitchingView,
  type ProxyIdentity,
  type ResourceView,
} from "../serve/index.ts";
import type { ExtensionProgram } from "../translate/index.ts";

interface Extended extends FollowedProxy {
  program: ExtensionProgram | undefined;
  /** Whether an extension patches the proxy's routes, or has done so since the proxy connected. */
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
  readonly #followed = new FollowedProxies<Extended>({
    podKeysOf,
    make: (bare) => {
      const program = this.#programs.of(bare.proxy);
      return { ...bare, program, hadRoutesPatched: touchesRoutes(program) };
    },
  });

  /** Follows the services behind each waypoint, which `served` contains. */
  constructor(programs: ExtensionPrograms, inputs: MeshInputs, served: readonly Collection<unknown>[]) {
    const { extensions } = inputs;
    this.#programs = programs;
    this.#reconsiderBy(extensions.envoyFilters);
    this.#reconsiderBy(extensions.wasmPlugins);
    this.#reconsiderBy(extensions.trafficExtensions);
    this.#reconsiderBy(inputs.mesh);
    this.#reconsiderBy(inputs.remote.clusters);
    this.#reconsiderBy(extensions.pullSecrets);
    // Extensions may name services. So waypoints must follow changes of services, but only if there is an extension.
    const hasTargets = (): boolean => extensions.trafficExtensions.size + extensions.wasmPlugins.size > 0;
    for (const collection of [inputs.serviceEntries, ...served])
      this.#reconsiderBy(collection, hasTargets, ({ proxy }) => proxy.type === "waypoint");
    // If a proxy does not send its pod's labels, the pod's labels still select extensions.
    for (const collection of [inputs.pods, inputs.remote.pods]) {
      collection.subscribe((changes) => {
        if (extensions.envoyFilters.size + extensions.trafficExtensions.size + extensions.wasmPlugins.size === 0)
          return;
        this.#reconsiderEach(new Set(changes.flatMap(({ key }) => [...this.#followed.ofPod(key)])));
      });
    }
  }

  /** The view with the changes by extensions. `listeners` are the proxy's listeners before any change. */
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
      follow: (changed) => this.#followed.follow(proxy, changed),
      known: () => inner.known?.() ?? true,
    });
  }

  /**
   * Returns `untouched` until an extension patches the proxy's routes, and then `patched` until the proxy connects
   * again. If a proxy that has whole tables were sent the same tables without hosts, it would briefly have no virtual
   * hosts.
   */
  unlessRoutesPatched(proxy: ProxyIdentity, untouched: ResourceView, patched: ResourceView): ResourceView {
    return new SwitchingView({
      current: () =>
        touchesRoutes(this.#programOf(proxy)) || this.#followed.get(proxy)?.hadRoutesPatched === true
          ? patched
          : untouched,
      follow: (changed) => this.#followed.follow(proxy, changed),
      known: () => untouched.known?.() ?? true,
    });
  }

  #programOf(proxy: ProxyIdentity): ExtensionProgram | undefined {
    const followed = this.#followed.get(proxy);
    return followed === undefined ? this.#programs.of(proxy) : followed.program;
  }

  #reconsiderBy(
    collection: Collection<unknown>,
    matters: () => boolean = () => true,
    isConcerned: (followed: Extended) => boolean = () => true,
  ): void {
    collection.subscribe((changes) => {
      if (changes.length === 0 || !matters()) return;
      this.#reconsiderEach([...this.#followed.all()].filter(isConcerned));
    });
  }

  /**
   * Computes the extensions of these proxies again. A proxy for which that fails keeps those that it has, and the
   * others are not affected. The first failure is thrown at the end.
   */
  #reconsiderEach(concerned: Iterable<Extended>): void {
    const failures: unknown[] = [];
    for (const followed of concerned) {
      try {
        this.#reconsider(followed);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #reconsider(followed: Extended): void {
    const before = followed.program;
    followed.program = this.#programs.of(followed.proxy);
    followed.hadRoutesPatched ||= touchesRoutes(followed.program);
    if (followed.program !== before) tellFollowers(followed);
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
