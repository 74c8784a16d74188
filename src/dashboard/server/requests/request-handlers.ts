import type { DashboardRequests, RequestName } from "../../../api/dashboard/index.ts";
import type { Identity } from "../access/identity.ts";
import type { RequestFields } from "./request-fields.ts";

/** What the server answers itself. */
type SessionRequest = "GET /api/session" | "POST /api/login" | "POST /api/logout";

/** Answers one request of somebody who is known. Throws what {@link refusal} makes, or what the API server refuses. */
export type RequestHandler<Name extends RequestName> = (
  fields: RequestFields,
  identity: Identity,
  signal: AbortSignal,
) => Promise<DashboardRequests[Name]["answer"]>;

export type RequestHandlers = { readonly [Name in Exclude<RequestName, SessionRequest>]: RequestHandler<Name> };
