import { createHash } from "node:crypto";
import { messageOf, toSerinError, transientError, userError, type Clock } from "../../base/index.ts";
import { beginsAsModule } from "./bounded-module.ts";
import { fetchAttempts, fetchBackoffMs, maxCachedModuleBytes, maxKnownVersions, maxModuleBytes } from "./limits.ts";
import { unboxed } from "./module-archive.ts";
import { moduleOfImage } from "./module-image.ts";
import { boundedBody, moduleCode, type FetchResult, type ModuleCode } from "./module-source.ts";
import type { ModuleLocation } from "../filters/lazy-wasm-filter.ts";

export interface ModuleSourceOptions {
  readonly clock: Clock;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly fetch: typeof globalThis.fetch;
  /** Called after each fetch over a network. */
  readonly fetched: (result: FetchResult) => void;
}

type RemoteLocation = ModuleLocation & { readonly kind: "remote" };

interface Cached {
  readonly code: ModuleCode;
  /** The versions of the configuring objects for which this code was fetched. */
  readonly versions: ReadonlySet<string>;
}

/**
 * Fetches modules. Fetched code is cached while there is room. The code that was unused for longest is dropped first.
 */
export class ModuleSources {
  readonly #options: ModuleSourceOptions;
  readonly #cache = new Map<string, Cached>();
  readonly #fetching = new Map<string, Promise<ModuleCode>>();

  constructor(options: ModuleSourceOptions) {
    this.#options = options;
  }

  async load(location: ModuleLocation): Promise<ModuleCode> {
    if (location.kind === "inline") return moduleCode(location.bytes, "", "the configuration");
    if (location.kind === "file") return moduleCode(await this.#options.readFile(location.path), "", location.path);
    if (!/^(https?|oci):\/\//i.test(location.url))
      throw userError("module-invalid", `${location.url} must begin with oci://, http://, https:// or file://`);
    const key = keyOf(location);
    const version = isFetchedAgain(location) ? location.version : undefined;
    const known = this.#cache.get(key);
    if (known !== undefined && (version === undefined || known.versions.has(version))) {
      this.#keep(key, known);
      return known.code;
    }
    const attempt = `${key} ${version ?? ""}`;
    const under = this.#fetching.get(attempt);
    if (under !== undefined) return await under;
    const fetched = this.#fetch(location).finally(() => this.#fetching.delete(attempt));
    this.#fetching.set(attempt, fetched);
    const code = await fetched;
    const versions = known?.code.checksum === code.checksum ? [...known.versions].slice(1 - maxKnownVersions) : [];
    this.#keep(key, { code, versions: new Set([...versions, location.version]) });
    return code;
  }

  #keep(key: string, cached: Cached): void {
    this.#cache.delete(key);
    this.#cache.set(key, cached);
    let total = [...this.#cache.values()].reduce((sum, { code }) => sum + code.bytes.length, 0);
    for (const [oldest, { code }] of this.#cache) {
      if (total <= maxCachedModuleBytes || oldest === key) break;
      this.#cache.delete(oldest);
      total -= code.bytes.length;
    }
  }

  async #fetch(location: RemoteLocation): Promise<ModuleCode> {
    const { url, timeoutMs } = location;
    const { clock } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    let last = "";
    let result: FetchResult = /^oci:/i.test(url) ? "manifest_failure" : "download_failure";
    const failsAs = (failure: FetchResult): void => void (result = failure);
    for (let attempt = 0; attempt < fetchAttempts; attempt += 1) {
      if (attempt > 0) await clock.sleep(fetchBackoffMs * 2 ** (attempt - 1));
      if (deadline.aborted) break;
      try {
        const code = await this.#get(location, deadline, failsAs);
        failsAs("fetch_failure");
        if (!beginsAsModule(code.bytes))
          throw userError(
            "module-unreachable",
            `${url} is not a WebAssembly module: its first bytes have another format`,
          );
        this.#options.fetched("success");
        return code;
      } catch (error) {
        if (toSerinError(error).kind === "user") {
          this.#options.fetched(result);
          throw error;
        }
        last = messageOf(error);
      }
    }
    this.#options.fetched(result);
    throw transientError("module-unreachable", `the module of ${url} could not be fetched: ${last}`);
  }

  async #get(
    { url, sha256, secret }: RemoteLocation,
    signal: AbortSignal,
    failsAs: (failure: FetchResult) => void,
  ): Promise<ModuleCode> {
    const { fetch } = this.#options;
    if (/^oci:/i.test(url)) return await moduleOfImage({ url, sha256, secret, signal, fetch, failsAs });
    const response = await fetch(url, { signal });
    if (response.ok) {
      const bytes = await unboxed(await boundedBody(response, maxModuleBytes));
      failsAs("checksum_mismatched");
      return moduleCode(bytes, sha256, url);
    }
    await response.body?.cancel();
    const failed = `status ${response.status}`;
    if (response.status >= 500) throw transientError("module-unreachable", failed);
    throw userError("module-unreachable", `the module of ${url} could not be fetched: ${failed}`);
  }
}

/**
 * The key of a module in the cache. It contains the secret, so that a secret gives no access to images that were
 * fetched with another one. Code with a known checksum is fetched once for all.
 */
function keyOf({ url, sha256, secret }: RemoteLocation): string {
  const owner = secret === "" ? "" : createHash("sha256").update(secret).digest("hex");
  return `${sha256 === "" ? url : sha256} ${owner}`;
}

/**
 * Whether the module is fetched again for each new version of the configuring object. The default is that of upstream.
 */
function isFetchedAgain({ url, sha256, pull }: RemoteLocation): boolean {
  if (sha256 !== "") return false;
  return pull === "always" || (pull === "default" && /^oci:/i.test(url) && url.endsWith(":latest"));
}
