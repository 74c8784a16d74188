import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Clock } from "../../base/index.ts";
import { cookieText, cookieValue } from "../routing/hash-policy.ts";
import type { FilterRequest } from "./http-filter.ts";

/**
 * Where a client keeps the name of its session's endpoint: a cookie or a header. Envoy's proxies read and write the
 * same form.
 */
export interface SessionCarrier {
  /** Whether requests for the path belong to a session. */
  covers(path: string): boolean;
  /** The name of the session's endpoint. Undefined if the client has no session yet, or if it cannot be read. */
  endpointOf(request: FilterRequest): string | undefined;
  fieldFor(endpoint: string): SessionField;
}

export interface SessionField {
  readonly name: string;
  readonly value: string;
  /** Whether the field replaces other fields with its name. Otherwise it is added. */
  readonly replaces: boolean;
}

/** Carries the endpoint in one header of requests and responses. `header` is in lower case. */
export function headerCarrier(header: string): SessionCarrier {
  return {
    covers: () => true,
    endpointOf: (request) => {
      const decoded = decodeBase64(request.values(header)[0] ?? "");
      return decoded === undefined || decoded.length === 0 ? undefined : decoded.toString("latin1");
    },
    fieldFor: (endpoint) => ({
      name: header,
      value: Buffer.from(endpoint, "latin1").toString("base64"),
      replaces: true,
    }),
  };
}

export interface SessionCookie {
  readonly name: string;
  /** Empty if the cookie has no path. */
  readonly path: string;
  /** 0 means a cookie that lasts until the browser session ends. */
  readonly lifetimeSeconds: number;
  /** `name` or `name=value`. */
  readonly attributes: readonly string[];
}

/** Carries the endpoint in a cookie, together with the time when the session ends. */
export function cookieCarrier(cookie: SessionCookie, clock: Pick<Clock, "nowMs">): SessionCarrier {
  const { name, path, lifetimeSeconds, attributes } = cookie;
  const nowSeconds = (): number => Math.floor(clock.nowMs() / 1000);
  return {
    covers: (requested) => isBelow(requested, path),
    endpointOf: (request) => {
      const bytes = decodeBase64(cookieValue(request.header("cookie"), name) ?? "");
      return bytes === undefined ? undefined : readCookie(bytes, nowSeconds());
    },
    fieldFor: (endpoint) => {
      const expires = lifetimeSeconds === 0 ? 0 : nowSeconds() + lifetimeSeconds;
      const value = writeCookie(endpoint, expires);
      return {
        name: "set-cookie",
        value: cookieText({ name, path, ttlSeconds: lifetimeSeconds, attributes }, value),
        replaces: false,
      };
    },
  };
}

/** Whether a cookie with this path applies to the requested path: to the path itself and to what is below it. */
function isBelow(requested: string, path: string): boolean {
  if (path === "" || path === "/" || requested === path) return true;
  return requested.startsWith(path.endsWith("/") ? path : `${path}/`);
}

const base64 = /^[A-Za-z\d+/]+={0,2}$/;

function decodeBase64(text: string): Buffer | undefined {
  return text.length % 4 === 0 && base64.test(text) ? Buffer.from(text, "base64") : undefined;
}

const addressField = 1;
const expiryField = 2;

function writeCookie(endpoint: string, expires: number): string {
  const writer = new BinaryWriter();
  writer.tag(addressField, WireType.LengthDelimited).string(endpoint);
  if (expires > 0) writer.tag(expiryField, WireType.Varint).uint64(expires);
  return Buffer.from(writer.finish()).toString("base64");
}

/** Also read the cookies of older proxies, which contain only the endpoint's name. */
function readCookie(bytes: Buffer, nowSeconds: number): string | undefined {
  let address = "";
  let expires = 0;
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === addressField && type === WireType.LengthDelimited) address = reader.string();
      else if (field === expiryField && type === WireType.Varint) expires = Number(reader.uint64());
      else reader.skip(type, field);
    }
  } catch {
    return bytes.length === 0 ? undefined : bytes.toString("latin1");
  }
  return address === "" || (expires > 0 && expires < nowSeconds) ? undefined : address;
}
