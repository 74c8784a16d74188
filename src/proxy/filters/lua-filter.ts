import {
  LuaLoadFailure,
  OptionalScript,
  ScriptRequest,
  ScriptResponse,
  type LuaScript,
  type LuaScripts,
} from "./lua/index.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import {
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type LocalReply,
  passed,
  type Later,
  type StreamFilter,
  type StreamOutcome,
} from "./http-filter.ts";

export interface LuaSettings {
  /** The default script, for routes without their own. While an optional script does not load, requests are refused. */
  readonly script: LuaScript | OptionalScript | undefined;
  /** Scripts that a route can select by name. */
  readonly named: ReadonlyMap<string, LuaScript>;
  readonly filterContext: unknown;
  /** Whether a request is routed again after the script changed its headers. */
  readonly clearsRoute: boolean;
}

export class LuaOverride {
  readonly script: LuaScript | string | undefined;
  readonly filterContext: unknown;

  /** `script` is a script or the name of one of the filter's scripts. Undefined means the filter's default. */
  constructor(script: LuaScript | string | undefined, filterContext: unknown) {
    this.script = script;
    this.filterContext = filterContext;
  }
}

/** Requests must not pass without a script that may authorize them. */
const notLoaded: LocalReply = {
  status: 500,
  body: "",
  headers: [],
  flag: responseFlags.noFilterConfigFound,
  details: "lua_load_error",
};

export class LuaFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: LuaSettings;
  readonly #scripts: LuaScripts;
  readonly #errors: FilterCounter;

  constructor(name: string, settings: LuaSettings, scripts: LuaScripts, errors: FilterCounter) {
    this.name = name;
    this.idle = settings.script === undefined;
    this.#settings = settings;
    this.#scripts = scripts;
    this.#errors = errors;
  }

  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    const chosen = this.#chosen(request);
    const script = chosen instanceof OptionalScript ? chosen.attempt(`the HTTP filter ${this.name}`) : chosen;
    if (script instanceof LuaLoadFailure) {
      this.#errors.increment();
      return notLoaded;
    }
    if (script?.hasRequest !== true) return undefined;
    let changed = false;
    const message = new ScriptRequest(request, () => (changed = true));
    const reply = script.run("request", message, this.#context(request, signal), this.#errors);
    const after = (given: LocalReply | undefined): LocalReply | undefined => {
      if (given === undefined && changed && this.#settings.clearsRoute) request.clearRoute();
      return given;
    };
    return reply instanceof Promise ? reply.then(after) : after(reply);
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter | undefined {
    if (this.#loaded(request)?.hasResponse !== true) return undefined;
    return { responseHead: (response) => this.#response(response, signal) };
  }

  #response(response: FilterResponse, signal: () => AbortSignal): Later<StreamOutcome<undefined>> {
    const script = this.#loaded(response.request);
    if (script?.hasResponse !== true) return passed;
    const context = this.#context(response.request, signal);
    const reply = script.run("response", new ScriptResponse(response), context, this.#errors);
    return reply instanceof Promise ? reply.then(outcomeOf) : outcomeOf(reply);
  }

  #loaded(request: FilterRequest): LuaScript | undefined {
    const chosen = this.#chosen(request);
    return chosen instanceof OptionalScript ? chosen.loaded : chosen;
  }

  #chosen(request: FilterRequest): LuaScript | OptionalScript | undefined {
    const own = this.#override(request)?.script;
    return typeof own === "string" ? this.#settings.named.get(own) : (own ?? this.#settings.script);
  }

  #override(request: FilterRequest): LuaOverride | undefined {
    const own = request.route?.filterConfigs.get(this.name);
    return own instanceof LuaOverride ? own : undefined;
  }

  #context(request: FilterRequest, signal: () => AbortSignal) {
    return {
      filter: this.name,
      filterContext: this.#override(request)?.filterContext ?? this.#settings.filterContext,
      services: this.#scripts.services,
      signal,
    };
  }
}

function outcomeOf(reply: LocalReply | undefined): StreamOutcome<undefined> {
  return reply === undefined ? passed : { kind: "reply", reply };
}
