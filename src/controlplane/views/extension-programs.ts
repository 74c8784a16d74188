import type * as Re2 from "re2js";
import type { EnvoyConfigPatch } from "../../api/istio/index.ts";
import { loadPackage } from "../../base/index.ts";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import {
  waypointKeyOf,
  type EnvoyFilterFacts,
  type ExtendedProxy,
  type ExtensionSelection,
  type TrafficExtensionFacts,
} from "../model/index.ts";
import type { ProxyIdentity } from "../serve/index.ts";
import {
  compileExtension,
  compilePatches,
  contentHash,
  ExtensionProgram,
  isForType,
  type CompiledPatch,
  type PatchFault,
} from "../translate/index.ts";

export interface ExtensionProgramsOptions {
  readonly selection: ExtensionSelection;
  readonly types: () => EnvoyTypes;
  /** The labels of the proxy's pod, as last seen. The proxy's own labels take precedence. */
  readonly podLabels: (proxy: ProxyIdentity) => Readonly<Record<string, string>>;
  readonly pullSecret: (proxy: ProxyIdentity, namespace: string, name: string) => string;
  readonly failed: (fault: PatchFault) => void;
}

interface CompiledFilter {
  readonly patches: readonly CompiledPatch[];
  readonly hash: string;
}

/** When there are this many entries, those that no proxy uses are removed. */
const sweepAt = 64;
const maxVersionLength = 1024;

/**
 * The programs of connected proxies. Proxies with the same extensions share one program, which lives as long as one of
 * them uses it.
 */
export class ExtensionPrograms {
  readonly #options: ExtensionProgramsOptions;
  readonly #programs = new Map<string, WeakRef<ExtensionProgram>>();
  readonly #filters = new WeakMap<EnvoyFilterFacts["spec"], CompiledFilter>();
  /** The hash of a plugin's spec, which may be large and is the same for all proxies. */
  readonly #plugins = new WeakMap<TrafficExtensionFacts["spec"], string>();
  readonly #expressions = new WeakMap<EnvoyConfigPatch, Re2.RE2JS>();

  constructor(options: ExtensionProgramsOptions) {
    this.#options = options;
  }

  /** The program of a proxy. Undefined if no extension changes the proxy's configuration. */
  of(proxy: ProxyIdentity): ExtensionProgram | undefined {
    const extended = this.#extended(proxy);
    if (extended === undefined) return undefined;
    const { selection, types, failed, pullSecret } = this.#options;
    const filters = selection.envoyFiltersOf(extended);
    const extensions = selection.trafficExtensionsOf(extended);
    if (filters.length === 0 && extensions.length === 0) return undefined;
    const key: string[] = [
      extended.type,
      proxy.envoy ? "envoy" : "",
      proxy.extensionConfigDiscovery ? "discovery" : "",
    ];
    const patches = filters.flatMap((facts) => {
      const compiled = this.#compiled(facts);
      const mine = compiled.patches.filter(
        (patch) => isForType(patch, extended.type) && this.#isForProxy(patch.match, proxy),
      );
      if (mine.length > 0)
        key.push(
          `${facts.namespace}/${facts.name}@${compiled.hash}:${mine.map((patch) => compiled.patches.indexOf(patch)).join(",")}`,
        );
      return mine;
    });
    const secretOf = (namespace: string, name: string): string => pullSecret(proxy, namespace, name);
    for (const { facts, hosts } of extensions) {
      const { extension } = facts.spec;
      const secret =
        extension.kind === "wasm" && extension.wasm.imagePullSecret !== ""
          ? secretOf(facts.namespace, extension.wasm.imagePullSecret)
          : "";
      key.push(
        `${facts.namespace}/${facts.name}@${this.#hashOf(facts)}:${hashOf([facts.resourceVersion, hosts, secret])}`,
      );
    }
    if (patches.length === 0 && extensions.length === 0) return undefined;
    return this.#shared(key.join(" "), () => {
      if (!proxy.envoy) for (const { facts } of extensions) this.#tellOfPrograms(facts);
      const context = {
        types: types(),
        envoy: proxy.envoy,
        discovers: proxy.extensionConfigDiscovery,
        pullSecret: secretOf,
      };
      return new ExtensionProgram({
        proxyType: extended.type,
        types: types(),
        extensions: extensions.map((selected) => compileExtension(selected, context)),
        patches,
        failed: ({ filter, applyTo, match }, fault) =>
          failed({ filter, field: `${applyTo} ${match.operation}`, fault }),
      });
    });
  }

  /** Reports plugins for connections. Serin's own proxy does not run these, and cannot report that. */
  #tellOfPrograms({ namespace, name, spec: { extension } }: TrafficExtensionFacts): void {
    if (extension.kind === "lua" || extension.wasm.type !== "NETWORK") return;
    const without = extension.wasm.failStrategy === "FAIL_OPEN" ? "skips it" : "refuses all connections";
    this.#options.failed({
      filter: `${namespace}/${name}`,
      field: "plugin",
      fault: `Serin's own proxy does not run WebAssembly for connections (type NETWORK) and ${without}, as set by failStrategy`,
    });
  }

  #extended(proxy: ProxyIdentity): ExtendedProxy | undefined {
    const { type, namespace } = proxy;
    if (type !== "sidecar" && type !== "router" && type !== "waypoint") return undefined;
    const labels = { ...this.#options.podLabels(proxy), ...proxy.labels };
    return { type, namespace, labels, waypoint: type === "waypoint" ? waypointKeyOf(proxy) : undefined };
  }

  #compiled(facts: EnvoyFilterFacts): CompiledFilter {
    let compiled = this.#filters.get(facts.spec);
    if (compiled === undefined) {
      const { patches, faults } = compilePatches(
        `${facts.namespace}/${facts.name}`,
        facts.spec.configPatches,
        this.#options.types(),
      );
      compiled = { patches, hash: hashOf(facts.spec.configPatches) };
      this.#filters.set(facts.spec, compiled);
      for (const fault of faults) this.#options.failed(fault);
    }
    return compiled;
  }

  #hashOf({ spec }: TrafficExtensionFacts): string {
    let hash = this.#plugins.get(spec);
    if (hash === undefined) this.#plugins.set(spec, (hash = hashOf(spec)));
    return hash;
  }

  #isForProxy(patch: EnvoyConfigPatch, { version, metadata }: ProxyIdentity): boolean {
    const { proxyVersion, proxyMetadata } = patch;
    if (!Object.entries(proxyMetadata).every(([name, value]) => metadata[name] === value)) return false;
    if (proxyVersion === undefined) return true;
    if (version === "" || proxyVersion.length > maxVersionLength) return false;
    let expression = this.#expressions.get(patch);
    if (expression === undefined) {
      expression = loadPackage<typeof Re2>("re2js").RE2JS.compile(proxyVersion);
      this.#expressions.set(patch, expression);
    }
    return expression.matcher(version).find();
  }

  #shared(key: string, make: () => ExtensionProgram): ExtensionProgram {
    const known = this.#programs.get(key)?.deref();
    if (known !== undefined) return known;
    if (this.#programs.size >= sweepAt)
      for (const [old, program] of this.#programs) if (program.deref() === undefined) this.#programs.delete(old);
    const made = make();
    this.#programs.set(key, new WeakRef(made));
    return made;
  }
}

function hashOf(value: unknown): string {
  return contentHash(Buffer.from(JSON.stringify(value)));
}
