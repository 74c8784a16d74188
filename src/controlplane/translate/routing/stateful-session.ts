import type { Any } from "@bufbuild/protobuf/wkt";
import {
  CookieBasedSessionStateSchema,
  HeaderBasedSessionStateSchema,
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from "../../../wire/envoy/index.ts";
import type { Labels, MeshSettings } from "../../model/facts.ts";
import { serviceSession, type ServiceSession } from "../../model/service/service-session.ts";
import { packed } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";

export const sessionFilterName = "envoy.filters.http.stateful_session";

/** The filter without sessions. The virtual hosts and routes of services with sessions configure it. */
export function emptySessionFilter(): FilterInit {
  return filterInit(sessionFilterName, StatefulSessionSchema, {});
}

/** A part of `typedPerFilterConfig`. Empty if there are no sessions. */
export function perRouteSession(session: ServiceSession | undefined): Readonly<Record<string, Any>> {
  if (session === undefined) return {};
  return {
    [sessionFilterName]: packed(StatefulSessionPerRouteSchema, {
      override: { case: "statefulSession", value: { sessionState: sessionState(session) } },
    }),
  };
}

/** The fields of a virtual host that give it the sessions of its service. */
export function hostSession(
  service: { readonly labels: Labels } | undefined,
  mesh: MeshSettings,
): { readonly typedPerFilterConfig?: Record<string, Any> } {
  const session = serviceSession(service, mesh);
  return session === undefined ? {} : { typedPerFilterConfig: { ...perRouteSession(session) } };
}

function sessionState(session: ServiceSession) {
  return session.kind === "cookie"
    ? {
        name: "envoy.http.stateful_session.cookie",
        typedConfig: packed(CookieBasedSessionStateSchema, { cookie: { name: session.name, path: session.path } }),
      }
    : {
        name: "envoy.http.stateful_session.header",
        typedConfig: packed(HeaderBasedSessionStateSchema, { name: session.name }),
      };
}
