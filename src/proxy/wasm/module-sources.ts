import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { messageOf, toSerinError, transientError, userError, type Clock } from "../../base/index.ts";
import { fetchAttempts, fetchBackoffMs, maxCachedModuleBytes, maxModuleBytes } from "./limits.ts";
import { moduleOfImage } from "./module-image.ts";
import { boundedBody, moduleCode, type ModuleCode } from "./module-source.ts";
import type { ModuleLocation } from "../filters/lazy-wasm-filter.ts";

export interface ModuleSourceOptions {
  readonly clock: Clock;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly fetch: typeof globalThis.fetch;
}

type RemoteLocation = ModuleLocation & { readonly kind: "remote" };

/** Runs outside the serving thread. */
const unzip = promisify(gunzip);
const gzipMark = Buffer.from([0x1f, 0x8b]);

/** Fetches modules. Fetched code is cached while there is room, and the least recently used is dropped first. */
export class ModuleSources {
  readonly #options: ModuleSourceOptions;
  readonly #cache = new Map<string, ModuleCode>();
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
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#keep(key, known);
      return known;
    }
    const under = this.#fetching.get(key);
    if (under !== undefined) return await under;
    const fetched = this.#fetch(location).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetched);
    const code = await fetched;
    this.#keep(key, code);
    return code;
  }

  #keep(key: string, code: ModuleCode): void {
    this.#cache.delete(key);
    this.#cache.set(key, code);
    let total = [...this.#cache.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    for (const [oldest, { bytes }] of this.#cache) {
      if (total <= maxCachedModuleBytes || oldest === key) break;
      this.#cache.delete(oldest);
      total -= bytes.length;
    }
  }

  async #fetch(location: RemoteLocation): Promise<ModuleCode> {
    const { url, timeoutMs } = location;
    const { clock } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    let last = "";
    for (let attempt = 0; attempt < fetchAttempts; attempt += 1) {
      if (attempt > 0) await clock.sleep(fetchBackoffMs * 2 ** (attempt - 1));
      if (deadline.aborted) break;
      try {
        return await this.#get(location, deadline);
      } catch (error) {
        if (toSerinError(error).kind === "user") throw error;
        last = messageOf(error);
      }
    }
    throw transientError("module-unreachable", `the module of ${url} could not be fetched: ${last}`);
  }

  async #get({ url, sha256, secret }: RemoteLocation, signal: AbortSignal): Promise<ModuleCode> {
    const { fetch } = this.#options;
    if (/^oci:/i.test(url)) return await moduleOfImage({ url, sha256, secret, signal, fetch });
    const response = await fetch(url, { signal });
    if (response.ok) return moduleCode(await unboxed(await boundedBody(response, maxModuleBytes)), sha256, url);
    await response.body?.cancel();
    const failed = `status ${response.status}`;
    if (response.status >= 500) throw transientError("module-unreachable", failed);
    throw userError("module-unreachable", `the module of ${url} could not be fetched: ${failed}`);
  }
}

/**
 * The cache key. Code with the same key is fetched once. Without a checksum, each version of the configuring object
 * fetches again: always over HTTP, and for an image by its pull policy, whose default is upstream's. The secret is part
 * of the key, so that it grants no access to images fetched with another one.
 */
function keyOf({ url, sha256, version, pull, secret }: RemoteLocation): string {
  const owner = secret === "" ? "" : createHash("sha256").update(secret).digest("hex");
  if (sha256 !== "") return `${sha256} ${owner}`;
  const isImage = /^oci:/i.test(url);
  const again = !isImage || pull === "always" || (pull === "default" && url.endsWith(":latest"));
  return `${url} ${owner} ${again ? version : ""}`;
}

/** Decompresses a module, because servers may store it compressed. */
async function unboxed(bytes: Uint8Array): Promise<Uint8Array> {
  return Buffer.from(bytes.subarray(0, 2)).equals(gzipMark)
    ? await unzip(bytes, { maxOutputLength: maxModuleBytes })
    : bytes;
}
