import {
  CookieBasedSessionStateSchema,
  HeaderBasedSessionStateSchema,
  HttpCookieSchema,
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
  type CookieBasedSessionState,
  type HeaderBasedSessionState,
  type StatefulSession,
  type StatefulSessionPerRoute,
} from "../../../wire/envoy/index.ts";
import { filterOff } from "../../filters/route-switch.ts";
import { cookieCarrier, headerCarrier, type SessionCarrier } from "../../filters/session-carrier.ts";
import { SessionSettings } from "../../filters/stateful-session-filter.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { unpack } from "../typed-struct.ts";

const defaultStatus = 503;

export function compileStatefulSession(message: StatefulSession, where: string, notes: ConfigNotes): SessionSettings {
  checkFields(StatefulSessionSchema, message, where, notes, {
    used: ["sessionState", "strict", "statusOnStrictDestinationNotFound"],
    harmless: ["statPrefix"],
  });
  const { sessionState, strict, statusOnStrictDestinationNotFound: status } = message;
  return new SessionSettings({
    carrier: sessionState === undefined ? undefined : compileCarrier(sessionState, `${where}: sessionState`, notes),
    statusWithoutEndpoint: strict ? status || defaultStatus : undefined,
  });
}

export function compileStatefulSessionPerRoute(
  message: StatefulSessionPerRoute,
  where: string,
  notes: ConfigNotes,
): object {
  checkFields(StatefulSessionPerRouteSchema, message, where, notes, { used: ["disabled", "statefulSession"] });
  const { override } = message;
  if (override.case === "statefulSession")
    return compileStatefulSession(override.value, `${where}: statefulSession`, notes);
  if (override.case !== "disabled") throw invalid(where, "disabled or statefulSession must be set");
  if (!override.value) throw invalid(where, "disabled must be true");
  return filterOff;
}

function compileCarrier(
  { name, typedConfig }: NonNullable<StatefulSession["sessionState"]>,
  where: string,
  notes: ConfigNotes,
): SessionCarrier {
  const message = typedConfig === undefined ? undefined : unpack(typedConfig, where);
  switch (message?.$typeName) {
    case "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState":
      return compileCookie(message as CookieBasedSessionState, where, notes);
    case "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState":
      return compileHeader(message as HeaderBasedSessionState, where, notes);
    default:
      throw unsupported(where, `the session state ${name}`);
  }
}

function compileCookie(message: CookieBasedSessionState, where: string, notes: ConfigNotes): SessionCarrier {
  checkFields(CookieBasedSessionStateSchema, message, where, notes, { used: ["cookie"] });
  const { cookie } = message;
  if (cookie === undefined || cookie.name === "") throw invalid(where, "cookie.name must be set");
  checkFields(HttpCookieSchema, cookie, `${where}: cookie`, notes, { used: ["name", "ttl", "path", "attributes"] });
  return cookieCarrier(
    {
      name: cookie.name,
      path: cookie.path,
      lifetimeSeconds: Math.floor(durationOr(cookie.ttl, 0) / 1000),
      attributes: cookie.attributes.map(({ name, value }) => (value === "" ? name : `${name}=${value}`)),
    },
    notes.services.clock,
  );
}

function compileHeader(message: HeaderBasedSessionState, where: string, notes: ConfigNotes): SessionCarrier {
  checkFields(HeaderBasedSessionStateSchema, message, where, notes, { used: ["name"] });
  if (message.name === "") throw invalid(where, "name must be set");
  return headerCarrier(message.name.toLowerCase());
}
