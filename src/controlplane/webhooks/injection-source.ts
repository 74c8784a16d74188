import { formatIssues } from "../../api/index.ts";
import { proxyConfigKind, type ProxyConfigObject } from "../../api/istio/index.ts";
import { configMapKind, type ConfigMap } from "../../api/kubernetes/index.ts";
import type { CompliancePolicy } from "../../base/compliance/index.ts";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import { meshTextTree } from "../../api/mesh-config-text/index.ts";
import {
  everyKubeletRunsSidecars,
  readInjectionSettings,
  readMeshForInjection,
  type InjectionContext,
  type InjectionDefaults,
  type InjectionSettings,
  type MeshForInjection,
} from "../../inject/index.ts";
import { createInformer, type KubeClient } from "../../kube/index.ts";

/**
 * Whether pods get a native sidecar unless they choose themselves. `auto` means that they do if every node supports it.
 */
export type NativeSidecarMode = "auto" | "true" | "false";

export interface InjectionSourceOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** The Service of this control plane. Its name has the same suffix as the ConfigMap's. */
  readonly serviceName: string;
  readonly defaults: InjectionDefaults;
  readonly nativeSidecars: NativeSidecarMode;
  readonly compliance?: CompliancePolicy | undefined;
  /** The YAML of the mesh config in force, which is always valid. */
  readonly meshText: () => string;
  /** The nodes' kubelet versions, such as `v1.36.0`. */
  readonly kubeletVersions: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Follows the sources of injection: the ConfigMap `istio-sidecar-injector[-<rev>]`, the mesh config and the nodes. */
export class InjectionSource {
  readonly #options: InjectionSourceOptions;
  #settings: InjectionSettings;
  #mesh: MeshForInjection | undefined;
  #meshText: string | undefined;
  readonly #proxyConfigs = new Map<string, ProxyConfigObject>();
  #context: InjectionContext | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #synced = Promise.withResolvers<void>();

  constructor(options: InjectionSourceOptions) {
    this.#options = options;
    this.#settings = readInjectionSettings({}, options.defaults);
  }

  /** Resolves when all sources have been read once. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** The settings for the next pod. The object stays the same until a source changes. */
  context(): InjectionContext {
    const mesh = this.#currentMesh();
    const nativeSidecars = this.#hasNativeSidecars();
    const settings = this.#settings;
    const known = this.#context;
    if (known?.mesh === mesh && known.settings === settings && known.nativeSidecars === nativeSidecars) return known;
    const { compliance, defaults } = this.#options;
    const proxyConfigs = [...this.#proxyConfigs.values()];
    this.#context = { settings, mesh, revision: defaults.revision, nativeSidecars, proxyConfigs, compliance };
    return this.#context;
  }

  get values(): InjectionSettings["tree"] {
    return this.#settings.tree;
  }

  onChange(changed: () => void): Disposable {
    this.#listeners.add(changed);
    return { [Symbol.dispose]: () => void this.#listeners.delete(changed) };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { client, namespace, serviceName, clock, log } = this.#options;
    const name = serviceName.replace(/^istiod/, "istio-sidecar-injector");
    const informer = createInformer(client, configMapKind, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      clock,
      log,
    });
    using _changes = informer.subscribe((change) => this.#take(change.type === "set" ? change.object : undefined));
    const proxyConfigs = createInformer(client, proxyConfigKind, { clock, log });
    using _objects = proxyConfigs.subscribe((change) =>
      this.#takeProxyConfig(change.key, change.type === "set" ? change.object : undefined),
    );
    void Promise.all([informer.synced, proxyConfigs.synced]).then(() => this.#synced.resolve());
    await Promise.all([informer.run(signal), proxyConfigs.run(signal)]);
  }

  /** A refused ProxyConfig has no effect. */
  #takeProxyConfig(key: string, object: ProxyConfigObject | undefined): void {
    this.#context = undefined;
    const parsed = object === undefined ? undefined : proxyConfigKind.parse?.(object);
    if (parsed?.value === undefined) this.#proxyConfigs.delete(key);
    else this.#proxyConfigs.set(key, parsed.value);
    if (parsed !== undefined && parsed.value === undefined)
      this.#options.log.warn("a ProxyConfig is not valid and has no effect", {
        object: key,
        errors: formatIssues(parsed.errors),
      });
  }

  /** An unreadable ConfigMap changes nothing. */
  #take(map: ConfigMap | undefined): void {
    const { log, defaults } = this.#options;
    try {
      this.#settings = readInjectionSettings(
        { config: map?.data?.["config"], values: map?.data?.["values"] },
        defaults,
      );
    } catch (error) {
      log.error("kept the previous configuration of the injection", {
        configMap: map?.metadata.name ?? "",
        error: messageOf(error),
      });
      return;
    }
    for (const warning of this.#settings.warnings) log.warn(warning, { configMap: map?.metadata.name ?? "" });
    for (const changed of this.#listeners) changed();
  }

  #currentMesh(): MeshForInjection {
    const text = this.#options.meshText();
    if (this.#mesh === undefined || text !== this.#meshText) {
      this.#mesh = readMeshForInjection(meshTextTree(text, "the mesh config"));
      this.#meshText = text;
    }
    return this.#mesh;
  }

  #hasNativeSidecars(): boolean {
    const { nativeSidecars, kubeletVersions } = this.#options;
    if (nativeSidecars !== "auto") return nativeSidecars === "true";
    return everyKubeletRunsSidecars(kubeletVersions());
  }
}
