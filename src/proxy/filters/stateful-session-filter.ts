import type { PreferredEndpoint } from "../upstream/preferred-endpoint.ts";
import { passed, type FilterRequest, type FilterResponse, type HttpFilter, type StreamFilter } from "./http-filter.ts";
import type { SessionCarrier } from "./session-carrier.ts";

export class SessionSettings {
  /** How requests carry their session. If undefined, requests have no sessions. */
  readonly carrier: SessionCarrier | undefined;
  /**
   * The status for a request whose session's endpoint does not exist any more. If undefined, another endpoint gets the
   * request.
   */
  readonly statusWithoutEndpoint: number | undefined;

  constructor(options: Pick<SessionSettings, "carrier" | "statusWithoutEndpoint">) {
    this.carrier = options.carrier;
    this.statusWithoutEndpoint = options.statusWithoutEndpoint;
  }
}

interface Session {
  readonly carrier: SessionCarrier;
  readonly endpoint: string | undefined;
}

/** Sends the requests of a client's session to one endpoint, and tells the client which one that is. */
export class StatefulSessionFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: SessionSettings;
  readonly #sessions = new WeakMap<FilterRequest, Session>();

  constructor(name: string, settings: SessionSettings) {
    this.name = name;
    this.idle = settings.carrier === undefined;
    this.#settings = settings;
  }

  onRequest(request: FilterRequest): undefined {
    const own = request.route?.filterConfigs.get(this.name);
    const { carrier, statusWithoutEndpoint } = own instanceof SessionSettings ? own : this.#settings;
    if (carrier?.covers(request.path) !== true) return;
    const endpoint = carrier.endpointOf(request);
    this.#sessions.set(request, { carrier, endpoint });
    if (endpoint === undefined) return;
    const preferred: PreferredEndpoint = { name: endpoint, statusWithoutIt: statusWithoutEndpoint };
    request.prefer(preferred);
  }

  stream(request: FilterRequest): StreamFilter | undefined {
    const session = this.#sessions.get(request);
    if (session === undefined) return undefined;
    return {
      responseHead: (response) => {
        tell(session, response);
        return passed;
      },
    };
  }
}

/** Tells the client which endpoint has its session now, unless the client already named this endpoint. */
function tell({ carrier, endpoint: known }: Session, response: FilterResponse): void {
  const endpoint = response.request.valueContext(undefined).upstreamHost;
  if (endpoint === "" || endpoint === known) return;
  const { name, value, replaces } = carrier.fieldFor(endpoint);
  const others = replaces ? response.fields.filter(([other]) => other !== name) : response.fields;
  response.fields = [...others, [name, value]];
}
