import { onAbort, type Clock } from "../../base/index.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import type { FilterRequest, HttpFilter, LocalReply, StreamFilter } from "../filters/http-filter.ts";
import type { AttributeMap } from "./messages.ts";
import type { ModulePlugin, PluginSession } from "./module-plugin.ts";
import { moduleFailedReply } from "../filters/lazy-wasm-filter.ts";
import { ModuleStream } from "./module-stream.ts";
import { applyFields, attributesOf, fieldsOf } from "./stream-attributes.ts";

export interface WasmFilterOptions {
  readonly name: string;
  /** The handle of the plugin. The filter keeps it, so that the plugin lives as long as the filter. */
  readonly handle: { readonly plugin: ModulePlugin };
  readonly clock: Clock;
  /** Counts the requests that failed or passed because their module was not available. */
  readonly without: FilterCounter;
}

/** Properties that a module set on a request, for later modules. */
const setProperties = new WeakMap<FilterRequest, Map<string, Uint8Array>>();

/**
 * The reply if the module could not be fetched. Upstream's agent then puts a filter that denies all requests in the
 * module's place.
 */
const noCodeReply: LocalReply = {
  status: 403,
  body: "RBAC: access denied",
  headers: [],
  flag: responseFlags.none,
  details: "rbac_access_denied_matched_policy[none]",
};

export class WasmFilter implements HttpFilter {
  readonly name: string;
  readonly #options: WasmFilterOptions;
  readonly #streams = new WeakMap<FilterRequest, ModuleStream>();

  constructor(options: WasmFilterOptions) {
    this.name = options.name;
    this.#options = options;
  }

  starting(): Promise<unknown> | undefined {
    const session = this.#options.handle.plugin.session();
    return session instanceof Promise ? session : undefined;
  }

  stream(request: FilterRequest): StreamFilter | undefined {
    return this.#streams.get(request);
  }

  async onRequest(request: FilterRequest, signal: () => AbortSignal): Promise<LocalReply | undefined> {
    const { plugin } = this.#options.handle;
    const session = await plugin.session();
    const passes = plugin.options.failure === "open";
    if (session === undefined) {
      this.#options.without.increment();
      if (passes) return undefined;
      return plugin.failure === "no-code" ? noCodeReply : moduleFailedReply;
    }
    return await this.#run(request, signal(), session, passes);
  }

  async #run(
    request: FilterRequest,
    signal: AbortSignal,
    session: PluginSession,
    passesOnFailure: boolean,
  ): Promise<LocalReply | undefined> {
    const before = fieldsOf(request);
    const stream = new ModuleStream({
      session,
      request,
      attributes: withProperties(request, attributesOf(request, this.#options.clock.nowMs())),
      passesOnFailure,
      setProperty: (path, value) => {
        const known = setProperties.get(request) ?? new Map<string, Uint8Array>();
        known.set(path, value);
        setProperties.set(request, known);
      },
    });
    this.#streams.set(request, stream);
    onAbort(signal, () => stream.end());
    const outcome = await stream.requestHead(before, !request.hasBody);
    if (outcome.kind === "reply") return outcome.reply;
    if (outcome.kind === "abort") return { ...moduleFailedReply, details: "wasm_close_stream" };
    // Route the request again, because routes may match what the module has changed.
    if (applyFields(request, before, outcome.part)) request.clearRoute();
    return undefined;
  }
}

function withProperties(request: FilterRequest, attributes: AttributeMap): AttributeMap {
  const set = setProperties.get(request);
  return set === undefined ? attributes : { ...attributes, ...Object.fromEntries(set) };
}
