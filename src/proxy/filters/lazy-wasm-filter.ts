import { responseFlags } from "../terms/response-flags.ts";
import type { FilterRequest, HttpFilter, LocalReply, StreamFilter } from "./http-filter.ts";

export type ModuleLocation =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: string }
  | {
      readonly kind: "remote";
      readonly url: string;
      /**
       * The SHA-256 checksum of the module, or of an image's manifest, in hexadecimal. Empty means that none is
       * checked.
       */
      readonly sha256: string;
      readonly timeoutMs: number;
      /** The version of the object that configures the module. */
      readonly version: string;
      readonly pull: "default" | "always" | "if-not-present";
      /** The content of a pull secret for images. Empty means none. */
      readonly secret: string;
    };

export interface WasmSettings {
  readonly plugin: { readonly name: string; readonly rootId: string; readonly configuration: Uint8Array };
  readonly vmId: string;
  readonly vmConfiguration: Uint8Array;
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly code: ModuleLocation;
  readonly failure: "closed" | "open" | "reload";
  /** A text that is the same for equal configurations. */
  readonly key: string;
}

/** Runs modules. The proxy loads this host together with the first module. */
export interface WasmModules {
  filter(name: string, settings: WasmSettings): HttpFilter;
}

export const moduleFailedReply: LocalReply = {
  status: 503,
  body: "",
  headers: [],
  flag: responseFlags.none,
  details: "wasm_fail_stream",
  grpcStatus: 14,
};

/** A WebAssembly filter whose requests wait until the host of modules is loaded. */
export class LazyWasmFilter implements HttpFilter {
  readonly name: string;
  readonly #filter: Promise<HttpFilter | undefined>;
  #loaded: HttpFilter | undefined;
  /** Resolves when the plugin has started or failed. Undefined after that. */
  #starting: Promise<unknown> | undefined;

  constructor(name: string, settings: WasmSettings, modules: () => Promise<WasmModules>) {
    this.name = name;
    this.#filter = modules().then(
      (loaded) => (this.#loaded = loaded.filter(name, settings)),
      () => undefined,
    );
    this.#starting = this.#filter
      .then(async (filter) => await filter?.starting?.())
      .catch(() => undefined)
      .then(() => (this.#starting = undefined));
  }

  starting(): Promise<unknown> | undefined {
    return this.#starting;
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter | undefined {
    return this.#loaded?.stream?.(request, signal);
  }

  async onRequest(request: FilterRequest, signal: () => AbortSignal): Promise<LocalReply | undefined> {
    const filter = await this.#filter;
    return filter === undefined ? moduleFailedReply : await filter.onRequest(request, signal);
  }
}
