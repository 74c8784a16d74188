import type { MutationContext } from "../routing/header-mutation.ts";
import { applyChanges, ListedFields, RequestFields, type FieldChange } from "./field-changes.ts";
import {
  passed,
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type StreamFilter,
  type StreamOutcome,
  type StreamTail,
} from "./http-filter.ts";
import { FilterSwitch } from "./route-switch.ts";

/** The changes of one level, each list in its order. */
export interface MessageChanges {
  readonly request: readonly FieldChange[];
  readonly response: readonly FieldChange[];
  readonly requestTrailers: readonly FieldChange[];
  readonly responseTrailers: readonly FieldChange[];
}

export const noChanges: MessageChanges = { request: [], response: [], requestTrailers: [], responseTrailers: [] };

/**
 * The changes of tables, virtual hosts and routes. Unlike with other filters, a more specific level adds to a more
 * general one and does not replace it.
 */
export class RouteChanges extends FilterSwitch {
  /** The most general level comes first. */
  readonly #levels: readonly MessageChanges[];

  constructor(levels: readonly MessageChanges[], enabled = true) {
    super(enabled);
    this.#levels = levels;
  }

  /** Combines this configuration with that of a more specific level. */
  with(specific: object): object {
    if (specific instanceof RouteChanges) return new RouteChanges([...this.#levels, ...specific.#levels]);
    return specific instanceof FilterSwitch ? new RouteChanges(this.#levels, specific.enabled) : specific;
  }

  /** The levels in the order of their application. A later one may change what an earlier one did. */
  inOrder(mostSpecificWins: boolean): readonly MessageChanges[] {
    return mostSpecificWins ? this.#levels : this.#levels.toReversed();
  }
}

export class HeaderMutationFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #own: MessageChanges;
  readonly #mostSpecificWins: boolean;
  /**
   * The changes that applied to each request. As in Envoy, the same levels apply to its response, even if a later
   * filter has chosen another route.
   */
  readonly #applied = new WeakMap<FilterRequest, readonly MessageChanges[]>();

  constructor(name: string, own: MessageChanges, mostSpecificWins: boolean) {
    this.name = name;
    this.idle = own === noChanges;
    this.#own = own;
    this.#mostSpecificWins = mostSpecificWins;
  }

  onRequest(request: FilterRequest): undefined {
    const levels = this.#levelsFor(request);
    this.#applied.set(request, levels);
    const changes = levels.flatMap((level) => level.request);
    if (changes.length > 0) applyChanges(changes, new RequestFields(request), request.valueContext(undefined));
  }

  stream(request: FilterRequest): StreamFilter | undefined {
    // If an earlier filter replied, this filter has not seen the request, so find the levels now.
    const levels = this.#applied.get(request) ?? this.#levelsFor(request);
    const response = levels.flatMap((level) => level.response);
    const requestTrailers = levels.flatMap((level) => level.requestTrailers);
    const responseTrailers = levels.flatMap((level) => level.responseTrailers);
    const requestStream: StreamFilter =
      requestTrailers.length === 0
        ? {}
        : {
            requestTrailers: (trailers) => changedTrailers(requestTrailers, trailers, request.valueContext(undefined)),
          };
    if (response.length === 0 && responseTrailers.length === 0) return requestStream;
    let head: ListedFields | undefined;
    return {
      ...requestStream,
      responseHead: (given: FilterResponse) => {
        head = new ListedFields(given.fields);
        applyChanges(response, head, { ...request.valueContext(head), status: given.status });
        given.fields = head.list;
        return passed;
      },
      ...(responseTrailers.length === 0
        ? {}
        : {
            responseTrailers: (trailers: readonly string[]) =>
              changedTrailers(responseTrailers, trailers, request.valueContext(head)),
          }),
    };
  }

  #levelsFor(request: FilterRequest): readonly MessageChanges[] {
    const route = request.route?.filterConfigs.get(this.name);
    return route instanceof RouteChanges ? [this.#own, ...route.inOrder(this.#mostSpecificWins)] : [this.#own];
  }
}

const noBytes = Buffer.alloc(0);

/** Applies the changes to trailers. In the argument and in the result, names and values alternate. */
function changedTrailers(
  changes: readonly FieldChange[],
  trailers: readonly string[],
  context: MutationContext,
): StreamOutcome<StreamTail> {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < trailers.length; at += 2) pairs.push([trailers[at] ?? "", trailers[at + 1] ?? ""]);
  const fields = new ListedFields(pairs);
  applyChanges(changes, fields, context);
  return { kind: "pass", part: { body: noBytes, trailers: fields.list.flat() } };
}
