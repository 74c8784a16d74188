import type { DashboardRequests, RequestName } from "../../../api/dashboard/index.ts";
import type { Identity } from "../access/identity.ts";
import type { RequestFields } from "./request-fields.ts";

/** The requests that the server answers itself, without a handler. */
type SessionRequest = "GET /api/session" | "POST /api/login" | "POST /api/logout";

/** Answers one request. Throws errors of {@link refusal} or of the API server. */
export type RequestHandler<Name extends RequestName> = (
  fields: RequestFields,
  identity: Identity,
  signal: AbortSignal,
) => Promise<DashboardRequests[Name]["answer"]>;

export type RequestHandlers = { readonly [Name in Exclude<RequestName, SessionRequest>]: RequestHandler<Name> };
