import type { Collection } from "../kube/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import type { ExtensionPrograms } from "./extension-programs.ts";
import { remoteKey, type MeshInputs } from "./model/index.ts";
import {
  ExtendedView,
  ExtensionConfigView,
  SwitchingView,
  type ProxyIdentity,
  type ResourceView,
} from "./serve/index.ts";
import type { ExtensionProgram } from "./translate/index.ts";

interface Tracked {
  readonly proxy: ProxyIdentity;
  readonly followers: Set<() => void>;
  program: ExtensionProgram | undefined;
  /** Something patches its routes, or has since it connected. */
  hadRoutesPatched: boolean;
}

const extendedTypes: ReadonlySet<string> = new Set([
  typeUrls.listener,
  typeUrls.cluster,
  typeUrls.route,
  typeUrls.extensionConfig,
]);
const extendedProxies: ReadonlySet<string> = new Set(["sidecar", "router", "waypoint"]);

/** The views of proxies, with what EnvoyFilters and traffic extensions change in them. A proxy that none is for has its views as they are. */
export class ExtensionViews {
  readonly #programs: ExtensionPrograms;
  /** By the identity of a stream: what one says of itself holds for itself alone. */
  readonly #tracked = new Map<ProxyIdentity, Tracked>();

  constructor(programs: ExtensionPrograms, inputs: MeshInputs) {
    const { extensions } = inputs;
    this.#programs = programs;
    this.#reconsiderBy(extensions.envoyFilters);
    this.#reconsiderBy(extensions.wasmPlugins);
    this.#reconsiderBy(extensions.trafficExtensions);
    this.#reconsiderBy(inputs.mesh);
    this.#reconsiderBy(inputs.remote.clusters);
    this.#reconsiderBy(extensions.pullSecrets);
    // Hosts of ServiceEntries that extensions name; and a pod's labels, of proxies that do not tell theirs.
    this.#reconsiderBy(
      inputs.serviceEntries,
      () => extensions.trafficExtensions.size + extensions.wasmPlugins.size > 0,
    );
    for (const collection of [inputs.pods, inputs.remote.pods]) {
      collection.subscribe((changes) => {
        if (extensions.envoyFilters.size + extensions.trafficExtensions.size + extensions.wasmPlugins.size === 0)
          return;
        const pods = new Set(changes.map(({ key }) => key));
        for (const tracked of this.#tracked.values())
          if (podKeysOf(tracked.proxy).some((key) => pods.has(key))) this.#reconsider(tracked);
      });
    }
  }

  /** `listeners` are those of the proxy before they are changed. */
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
   * One view, or another from when something patches the proxy's routes until it connects anew: a proxy that has whole tables
   * would for a moment have none if it were sent the same ones without their hosts.
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
    }
    const found = tracked;
    const follower = (): void => changed();
    found.followers.add(follower);
    return {
      [Symbol.dispose]: () => {
        found.followers.delete(follower);
        if (found.followers.size === 0 && this.#tracked.get(proxy) === found) this.#tracked.delete(proxy);
      },
    };
  }

  #reconsiderBy(collection: Collection<unknown>, matters: () => boolean = () => true): void {
    collection.subscribe((changes) => {
      if (changes.length === 0 || !matters()) return;
      for (const tracked of this.#tracked.values()) this.#reconsider(tracked);
    });
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

/** As a pod of the own cluster, and as one of the cluster that it names. */
function podKeysOf({ namespace, name, clusterId }: ProxyIdentity): readonly string[] {
  const key = `${namespace}/${name}`;
  return [key, remoteKey(clusterId, key)];
}
